"""Which hosts the server itself may call: rules on names and addresses, no connections.

Whoever can name an address that the server calls (a provider's metadata, a stored mail server)
must not reach what only this machine can reach: its own loopback, the private network, the
metadata service of the cloud.

Spec: lines 91-133, 205-225. Source: OWASP Server-Side Request Forgery Prevention; RFC 6890.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Self
from urllib.parse import urlsplit

from bennu.kernel.errors import UnavailableError
from bennu.network.settings import NetworkSettings

ALLOWED_HOSTS_VARIABLE: Final = "PHOENIX_EGRESS_ALLOWED_HOSTS"
_NOT_CALLED: Final = "An outside service is at an address that this server does not call"

Address = IPv4Address | IPv6Address
#: From a host name and a port to its addresses; tests pass their own.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

#: Where clouds tell a machine its own credentials; a name never opens these, only the address.
_METADATA: Final = tuple(
    ip_network(text)
    for text in (
        "169.254.169.254/32",
        "169.254.170.2/32",
        "169.254.170.23/32",
        "168.63.129.16/32",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
    )
)
#: IPv6 networks in which an IPv4 address stands at the end; whoever routes them gets there.
_HOLD_IPV4_AT_THE_END: Final = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
#: What C libraries also take for an address: 2130706433, 0x7f.1, 0177.0.0.1.
_ODD_NUMBER: Final = re.compile(r"([0-9]+|0x[0-9a-f]*)", re.IGNORECASE)
_LONGEST_NAME: Final = 253
#: Names that mean this machine or its network wherever they are resolved.
_LOCAL_NAMES: Final = re.compile(
    r"(.*\.)?(localhost|localdomain|local|internal|home\.arpa)|[^.]+", re.IGNORECASE
)


class DestinationRefusedError(UnavailableError):
    """The server does not call this host; the detail says why and how to allow it."""

    code = "destination_refused"

    def __init__(self, detail: str) -> None:
        super().__init__(_NOT_CALLED, detail=detail)


@dataclass(frozen=True, slots=True)
class Destinations:
    """What may be called.

    Args:
        configured: hosts that the operator named in the environment, in lower case.
        allowed: further names, ``*.name`` patterns, either with a port, and networks.
        only_listed: nothing but these; else every public address too.
    """

    configured: frozenset[str] = frozenset()
    allowed: tuple[str, ...] = ()
    only_listed: bool = False

    @classmethod
    def from_settings(cls, network: NetworkSettings, configured: Iterable[str]) -> Self:
        """Make the rules from the settings.

        Args:
            network: the allowed hosts, and whether other outside hosts are called at all.
            configured: hosts of the environment: providers, mail server, directory.
        """
        return cls(
            frozenset(plain_host(host) for host in configured if host),
            network.egress_allowed_hosts,
            only_listed=not network.allow_external_resources,
        )

    def names(self, host: str, port: int) -> bool:
        """Whether the operator listed this very host, not only a network."""
        return host in self.configured or any(
            _matches(pattern, host, port) for pattern in self.allowed
        )

    def holds(self, address: Address) -> bool:
        """Whether the operator listed a network or an address that this one is in."""
        return any(
            address in network for network in _networks_of((*self.allowed, *self.configured))
        )


def plain_host(host: str) -> str:
    """Return a host the way it is compared: lower case, no brackets, no dot at the end."""
    return host.lower().strip("[]").removesuffix(".")


def host_of(url: str) -> str:
    """Return the host of a configured address the way it is compared; "" when there is none."""
    try:
        return plain_host(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def kind_of_address(text: str) -> str:
    """Say what kind of address this is; "" for one that is public.

    Args:
        text: an IPv4 or IPv6 address; one in disguise (mapped, 6to4, NAT64) is what it hides.
    """
    kinds = (_kind(address) for address in (ip_address(text), *_hidden(ip_address(text))))
    return next((kind for kind in kinds if kind), "")


def check_destination(
    destinations: Destinations, host: str, port: int, addresses: Sequence[str]
) -> None:
    """Refuse to call a host unless every address that it has may be called.

    Args:
        destinations: what may be called.
        host: a name or an address.
        port: 1 to 65535.
        addresses: to which the name was resolved; they are what must be connected to.

    Raises:
        DestinationRefusedError: the name is none, has no address, or one that is not called.
    """
    name = checked_host(host)
    is_named = destinations.names(name, port)
    if not addresses:
        raise DestinationRefusedError(f"{name} has no address")
    for text in addresses:
        address = ip_address(text)
        if destinations.holds(address):
            continue
        kind = kind_of_address(text)
        if kind == "metadata" or (kind and not is_named):
            raise DestinationRefusedError(
                f"{name} has a {kind} address; if that is meant, add it to {ALLOWED_HOSTS_VARIABLE}"
            )
        _check_listed(destinations, name, is_named=is_named)


def check_proxied_destination(destinations: Destinations, host: str, port: int) -> None:
    """Refuse to call a host through a proxy, which resolves the name itself.

    Raises:
        DestinationRefusedError: it is an address that is not called, or a name that means this
            machine or its own network.
    """
    name = checked_host(host)
    if _as_address(name) is not None:
        check_destination(destinations, name, port, [name])
        return
    is_named = destinations.names(name, port)
    if not is_named and _LOCAL_NAMES.fullmatch(name):
        raise DestinationRefusedError(
            f"{name} is a local name; if that is meant, add it to {ALLOWED_HOSTS_VARIABLE}"
        )
    _check_listed(destinations, name, is_named=is_named)


async def resolve_with_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as this machine resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


async def resolve_destination(
    destinations: Destinations, host: str, port: int, resolve: Resolver = resolve_with_system
) -> tuple[str, ...]:
    """Resolve a host once and return its addresses, all of which may be called.

    Whoever connects must connect to one of these and not resolve again: a name that changes its
    address between the check and the connection (rebinding) is then of no use.

    Raises:
        DestinationRefusedError: it may not be called, or has no address.
    """
    name = checked_host(host)
    if _as_address(name) is not None:
        addresses: Sequence[str] = (name,)
    else:
        try:
            addresses = await resolve(name, port)
        except (OSError, UnicodeError) as error:
            raise DestinationRefusedError(
                f"{name} cannot be resolved: {type(error).__name__}"
            ) from None
    addresses = tuple(address.partition("%")[0] for address in addresses)
    check_destination(destinations, name, port, addresses)
    return addresses


def checked_host(host: str) -> str:
    """Return a host name or address as it is compared.

    Raises:
        DestinationRefusedError: it is neither, or a number that only some programs take for an
            address.
    """
    name = plain_host(host)
    if _as_address(name) is not None:
        return name
    is_name = len(name) <= _LONGEST_NAME and _HOST_NAME.fullmatch(name)
    if not is_name or _ODD_NUMBER.fullmatch(name.rpartition(".")[2]):
        raise DestinationRefusedError("not a host name")
    return name


def _check_listed(destinations: Destinations, name: str, *, is_named: bool) -> None:
    if destinations.only_listed and not is_named:
        raise DestinationRefusedError(
            f"{name} is not configured and PHOENIX_ALLOW_EXTERNAL_RESOURCES is false; "
            f"if that is meant, add it to {ALLOWED_HOSTS_VARIABLE}"
        )


def _kind(address: Address) -> str:
    if any(address in network for network in _METADATA):
        return "metadata"
    for kind, is_kind in (
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("private", not address.is_global or getattr(address, "is_site_local", False)),
    ):
        if is_kind:
            return kind
    return ""


def _hidden(address: Address) -> tuple[Address, ...]:
    """Return the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return ()
    teredo = address.teredo or ()
    hidden = [found for found in (address.ipv4_mapped, address.sixtofour, *teredo) if found]
    is_compatible = int(address) >> 32 == 0 and int(address) > 1
    if is_compatible or any(address in network for network in _HOLD_IPV4_AT_THE_END):
        hidden.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return tuple(hidden)


def _matches(pattern: str, host: str, port: int) -> bool:
    name, _, wanted_port = pattern.rpartition(":")
    if pattern.count(":") == 1 and wanted_port.isdecimal():
        return int(wanted_port) == port and _matches(name, host, port)
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return pattern == "*" or plain_host(pattern) == host


def _as_address(text: str) -> Address | None:
    """Return the address; one with a zone (``%eth0``) is none that is called."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _networks_of(patterns: Iterable[str]) -> Iterable[IPv4Network | IPv6Network]:
    for pattern in patterns:
        try:
            yield ip_network(plain_host(pattern), strict=False)
        except ValueError:
            continue
