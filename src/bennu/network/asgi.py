"""The few words of ASGI that the layers of this folder share, without a framework.

Source: ASGI specification 3.0, HTTP connection scope. RFC 6265 section 5.4 (order of cookies).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return all values of one header, in the order of the request.

    Args:
        scope: of the request.
        name: in lower case.
    """
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def cookie_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the first cookie of a name, which has the longest path; "" when there is none.

    Why safe: whoever asks for a credential gets the same one, whatever other programs on the host
    have put beside it, and whatever form that has.

    Args:
        headers: of the request.
        name: of the cookie.
    """
    for header, value in headers:
        if header == b"cookie" and name in value:
            for pair in value.split(b";"):
                key, _, text = pair.partition(b"=")
                if key.strip() == name:
                    return text.strip().decode("latin-1")
    return ""


def with_cookies(
    headers: Iterable[tuple[bytes, bytes]], fresh: Mapping[bytes, bytes]
) -> list[tuple[bytes, bytes]]:
    """Return the headers with these cookies in place of those of the same names.

    Others stay as they were sent. All come in one header, the only one that frameworks read.
    """
    others, pairs = [], []
    for header, value in headers:
        if header == b"cookie":
            pairs += [pair.strip() for pair in value.split(b";")]
        else:
            others.append((header, value))
    kept = [pair for pair in pairs if pair.partition(b"=")[0].strip() not in fresh]
    kept += [name + b"=" + value for name, value in fresh.items()]
    return [*others, (b"cookie", b"; ".join(kept))]


def route_path(scope: Scope) -> str:
    """Return the path as the table of routes has it: without root path, aliases resolved.

    Every path under ``/v1`` is served under ``/api/v1`` too, and is the same route.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root:
        path = path.removeprefix(root)
    return path[4:] if path.startswith("/api/v1/") else path
