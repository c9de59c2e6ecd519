"""Who the client is: the address that connected, or what a trusted proxy says of it.

By default nothing is taken from headers. From the networks of ``PHOENIX_TRUSTED_PROXIES`` the
lists of addresses are read from the right: each proxy appends the address it saw, so that what
the client itself wrote stands left of the first address that is not trusted, and is not read.

Spec: lines 212-216 (limits per IP). Source: RFC 7239 section 8.1; RFC 6177 (a site has a /64).
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote

from bennu.network.asgi import Scope, header_values
from bennu.network.forwarded import (
    Hop,
    hops_of_forwarded,
    hops_of_x_forwarded_for,
    node_address,
    plain_address,
)

_SITE_PREFIX: Final = 64
_MOST_REMEMBERED: Final = 4_096
_REPORTS: Final = ("x-forwarded-for", "x-forwarded-proto", "forwarded")


def limit_key(address: str) -> str:
    """Return what an address is counted under: IPv4 as it is, IPv6 by its /64.

    A site owns at least a /64 and may use each of its addresses once.
    """
    if ":" not in address:
        return address
    try:
        return str(IPv6Network((int(ip_address(address)), _SITE_PREFIX), strict=False))
    except ValueError:
        return address


class ClientAddresses:
    """Finds the client's address.

    Args:
        trusted_proxies: networks in CIDR form; what others say of themselves is not believed.
    """

    def __init__(self, trusted_proxies: Sequence[str] = ()) -> None:
        self._trusted = tuple(ip_network(text) for text in trusted_proxies)
        self._remembered: dict[str, bool] = {}

    def of_request(self, scope: Scope) -> str:
        """Return the client's address, "" when there is none, and correct the scope's scheme."""
        client = scope.get("client")
        if not client:
            return ""
        peer: str = client[0]
        if ":" in peer:
            peer = plain_address(peer)
        if not self._trusted or not self.trusts(peer):
            return peer
        values = [header_values(scope, name.encode()) for name in _REPORTS]
        address, scheme = self._reported(peer, values)
        if scheme:
            scope["scheme"] = scheme
        return address

    def of_call(self, peer: str, metadata: Iterable[tuple[str, str | bytes]]) -> str:
        """Return the client's address of a gRPC call.

        Args:
            peer: as gRPC writes it: ``ipv4:1.2.3.4:5`` or ``ipv6:%5B::1%5D:5``.
            metadata: of the call.
        """
        kind, _, rest = unquote(peer).partition(":")
        if kind not in {"ipv4", "ipv6"}:
            return ""
        address = plain_address(rest.rpartition(":")[0].strip("[]"))
        if not self._trusted or not self.trusts(address):
            return address
        pairs = [(k, v if isinstance(v, str) else v.decode("latin-1")) for k, v in metadata]
        values = [[value for key, value in pairs if key == name] for name in _REPORTS]
        return self._reported(address, values)[0]

    def trusts(self, address: str) -> bool:
        """Whether an address is one of the trusted proxies."""
        known = self._remembered.get(address)
        if known is None:
            known = self._is_in_networks(address)
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[address] = known
        return known

    def _is_in_networks(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)

    def _reported(self, peer: str, values: list[list[str]]) -> tuple[str, str]:
        """Return address and scheme ("" when nothing is said) as the trusted proxies tell them.

        Where both forms are there ``X-Forwarded-For`` counts: nearly every proxy writes it, and
        one that does lets a ``Forwarded`` of the client pass.
        """
        nodes, schemes, forwarded = values
        hops = hops_of_x_forwarded_for(nodes, schemes) if nodes or not forwarded else None
        if hops is None:
            hops = hops_of_forwarded(forwarded)
        return self._walk(peer, hops)

    def _walk(self, peer: str, hops: Sequence[Hop]) -> tuple[str, str]:
        address, scheme = peer, ""
        for hop in reversed(hops):
            if not self.trusts(address):
                break
            scheme = hop.scheme or scheme
            node = node_address(hop.node)
            if node is None:
                break  # the proxy does not say; what stands left of it was not checked by anybody
            address = node
        return address, scheme
