"""The files that pages load: one stylesheet, a few small scripts, one icon.

Every file is read once and named with a digest of its content, so that browsers may keep it for
ever and never show an old one. Nothing is loaded from another host.

Spec: none. Decision 20. Source: RFC 8246 (immutable).
"""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.httpio.request import path_value
from bennu.httpio.route import Door, Limit, Route
from bennu.kernel.errors import NotFoundError

_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_DIGEST_CHARACTERS: Final = 10


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent.

    Args:
        address: under ``/static/``, with the digest.
        media_type: of the content.
        content: plain.
        compressed: the same under gzip.
    """

    address: str
    media_type: str
    content: bytes
    compressed: bytes


class Assets:
    """All files of the folder ``static``, by name and by address."""

    def __init__(self) -> None:
        self._by_name: dict[str, Asset] = {}
        for entry in files("bennu.web").joinpath("static").iterdir():
            suffix = PurePosixPath(entry.name).suffix
            if suffix in _MEDIA_TYPES:
                self._by_name[entry.name] = _asset_of(entry.name, suffix, entry.read_bytes())
        self._by_address = {asset.address: asset for asset in self._by_name.values()}

    def address_of(self, name: str) -> str:
        """Return the path of a file, without the root path.

        Raises:
            KeyError: there is no such file; a mistake in a template.
        """
        return f"/static/{self._by_name[name].address}"

    def find(self, address: str) -> Asset:
        """Return a file by what follows ``/static/``; the plain name works too.

        Raises:
            NotFoundError: there is no such file.
        """
        found = self._by_address.get(address) or self._by_name.get(address)
        if found is None:
            raise NotFoundError("Not Found")
        return found


def _asset_of(name: str, suffix: str, content: bytes) -> Asset:
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]
    address = f"{PurePosixPath(name).stem}.{digest}{suffix}"
    # Without a time inside, so that the same file is the same bytes.
    return Asset(address, _MEDIA_TYPES[suffix], content, gzip.compress(content, mtime=0))


def asset_routes(assets: Assets) -> tuple[Route, ...]:
    """Return the routes of the files, open to everybody: they hold nothing about anybody."""

    async def file(request: Request) -> Response:
        return _answer(request, assets.find(path_value(request, "file")))

    async def icon(request: Request) -> Response:
        return _answer(request, assets.find("icon.svg"))

    return (
        _open("/static/{file}", file, "A stylesheet, script or picture of the pages"),
        _open("/favicon.ico", icon, "The icon of the pages"),
    )


def _answer(request: Request, asset: Asset) -> Response:
    accepted = request.headers.get("accept-encoding", "")
    is_compressed = "gzip" in accepted
    headers = {
        "vary": "accept-encoding",
        "cache-control": _FOR_EVER if asset.address in request.url.path else "no-cache",
    }
    if is_compressed:
        headers["content-encoding"] = "gzip"
    content = asset.compressed if is_compressed else asset.content
    return Response(content, headers=headers, media_type=asset.media_type)


def _open(path: str, handler: object, summary: str) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,  # type: ignore[arg-type]
        permission=Door.OPEN,
        limit=Limit.NONE,
        summary=summary,
        hidden=True,
        before_password_change=True,
        responses_media="text/css",
    )
