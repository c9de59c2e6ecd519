"""Which websites may make a signed-in browser change something here: the origin rule.

In order: ``Origin`` is there: it must be trusted, and ``null`` never is. Else ``Sec-Fetch-Site``
is there: ``same-origin`` and ``none`` pass. Else ``Referer`` is there: its origin must be trusted.
Else the request passes: every browser sends one of them with a request that changes something,
and programs that are no browsers carry no cookies that they were not given.

Trusted: the own origin, that of the root URL, and both lists of the settings.

Spec: lines 207-211. Source: OWASP Cross-Site Request Forgery Prevention; Fetch Metadata.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bennu.network.settings import NetworkSettings, origin_of, split_http_url

UNTRUSTED_ORIGIN: Final = "untrusted origin"
UNTRUSTED_REFERER: Final = "untrusted referer"
_SAME: Final = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a browser says of where a request comes from, and where it went to.

    Args:
        origins: every ``Origin`` header.
        fetch_sites: every ``Sec-Fetch-Site`` header.
        referers: every ``Referer`` header.
        scheme: by which the client reached the server.
        host: the ``Host`` header, which was found to be allowed.
    """

    origins: Sequence[str] = ()
    fetch_sites: Sequence[str] = ()
    referers: Sequence[str] = ()
    scheme: str = "http"
    host: str = ""


def normal_origin(address: str) -> str:
    """Return the origin of an http or https address, "" when it is none."""
    parts = split_http_url(address)
    return "" if parts is None else origin_of(parts)


class OriginRule:
    """The rule, with what the settings trust."""

    def __init__(self, settings: NetworkSettings) -> None:
        root = () if settings.root_url is None else (normal_origin(settings.root_url),)
        # ``*`` lets any page read what is open to everybody; it never lets one change anything.
        listed = (*settings.allowed_origins, *settings.csrf_trusted_origins)
        self._trusted = frozenset((*root, *listed)) - {"*", ""}

    def objection(self, provenance: Provenance) -> str:
        """Say why the request is refused, "" when it passes."""
        if provenance.origins:
            is_trusted = len(provenance.origins) == 1 and self._trusts(
                provenance.origins[0], provenance
            )
            return "" if is_trusted else UNTRUSTED_ORIGIN
        if provenance.fetch_sites:
            return "" if set(provenance.fetch_sites) <= _SAME else UNTRUSTED_ORIGIN
        if provenance.referers:
            is_trusted = len(provenance.referers) == 1 and self._trusts(
                provenance.referers[0], provenance
            )
            return "" if is_trusted else UNTRUSTED_REFERER
        return ""

    def _trusts(self, address: str, provenance: Provenance) -> bool:
        origin = normal_origin(address)
        if not origin:
            return False
        own = normal_origin(f"{provenance.scheme}://{provenance.host}")
        return origin in self._trusted or origin == own
