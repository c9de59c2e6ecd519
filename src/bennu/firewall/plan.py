"""What a firewall must let through: who may reach which port, and what the server itself calls.

Spec: lines 219-225.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from bennu.settings import Settings

Network = IPv4Network | IPv6Network
#: Returns the addresses of a host; an OSError when it has none.
Resolve = Callable[[str], Sequence[str]]

_DEFAULT_PORTS: Final = {"https": 443, "http": 80, "redis": 6379, "rediss": 6379}
DNS_PORT: Final = 53
#: Hosts stand in comments, which nothing that is configured may end.
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._:-]")


@dataclass(frozen=True, slots=True)
class Inbound:
    """A port that the server listens on.

    Args:
        what: for people: ``HTTP``.
        port: 1 to 65535.
        sources: who may connect; empty for this machine alone.
        families: versions of IP on which it listens: 4, 6 or both.
        is_loopback: it listens on loopback, so that nobody else reaches it anyway.
    """

    what: str
    port: int
    sources: tuple[Network, ...]
    families: tuple[int, ...]
    is_loopback: bool

    def sources_of(self, family: int) -> tuple[Network, ...]:
        """Return the sources of one version of IP."""
        return tuple(source for source in self.sources if source.version == family)


@dataclass(frozen=True, slots=True)
class Outbound:
    """Something that the server itself calls.

    Args:
        what: for people: ``database``.
        host: as configured.
        port: 1 to 65535.
        addresses: of the host now, in order; empty when it could not be resolved.
    """

    what: str
    host: str
    port: int
    addresses: tuple[str, ...]

    def addresses_of(self, family: int) -> tuple[str, ...]:
        """Return the addresses of one version of IP."""
        return tuple(a for a in self.addresses if ip_address(a).version == family)


@dataclass(frozen=True, slots=True)
class FirewallPlan:
    """Everything that the rules are made from.

    Args:
        inbound: the ports.
        outbound: what is called.
        user: of the operating system, that the server runs as; "" when it was not named.
        remarks: what the rules cannot know.
    """

    inbound: tuple[Inbound, ...]
    outbound: tuple[Outbound, ...]
    user: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def unresolved(self) -> tuple[Outbound, ...]:
        """What could not be resolved, so that no rule lets it through."""
        return tuple(each for each in self.outbound if not each.addresses)


@dataclass(frozen=True, slots=True)
class Sources:
    """Who may connect: networks for each listener."""

    http: tuple[Network, ...] = ()
    grpc: tuple[Network, ...] = ()
    metrics: tuple[Network, ...] = ()


def parse_network(text: str) -> Network:
    """Read an address or a network in CIDR form.

    Raises:
        ValueError: it is none, or has bits beyond its prefix.
    """
    return ip_network(text.strip(), strict=True)


def firewall_plan(
    settings: Settings, sources: Sources, resolve: Resolve, user: str = ""
) -> FirewallPlan:
    """Return what must be let through for these settings."""
    outbound = tuple(
        Outbound(what, _UNUSUAL.sub("?", host), port, _addresses(host, resolve))
        for what, host, port in dict.fromkeys(_called(settings))
    )
    return FirewallPlan(tuple(_listeners(settings, sources)), outbound, user, _remarks(settings))


def _listeners(settings: Settings, sources: Sources) -> Iterator[Inbound]:
    network, monitoring = settings.network, settings.monitoring
    families = _families(network.host)
    is_loopback = not network.listens_beyond_loopback
    yield Inbound("HTTP", network.port, sources.http, families, is_loopback)
    yield Inbound("gRPC", network.grpc_port, sources.grpc, families, is_loopback)
    if monitoring.enabled:
        yield Inbound(
            "metrics",
            monitoring.port,
            sources.metrics,
            _families(monitoring.host),
            monitoring.is_local,
        )


def _families(host: str) -> tuple[int, ...]:
    """Return the versions of IP on which a listener of this host is reached."""
    if ":" in host:
        return (4, 6) if host == "::" else (6,)
    try:
        return (ip_address(host).version,)
    except ValueError:
        return (4, 6)  # a name


def _called(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """Yield what the settings make the server call: what it is, host and port."""
    postgres = settings.storage.postgres
    if postgres is not None and not postgres.host.startswith("/"):
        yield "database", postgres.host, postgres.port
    if settings.ldap is not None:
        for server in settings.ldap.servers:
            yield "directory (LDAP)", server.host, server.port
    proxy = settings.network.https_proxy
    if proxy is not None and settings.oauth2:
        yield "proxy", *_place(proxy.reveal())
    else:
        for provider in settings.oauth2:
            yield f"identity provider {provider.name}", *_place(provider.oidc_config_url)
    if settings.mail.hostname:
        yield "mail (SMTP)", settings.mail.hostname, settings.mail.port
    redis = settings.network.rate_limit_storage_url
    if redis is not None and not redis.reveal().startswith("memory:"):
        yield "rate limits (Redis)", *_place(redis.reveal())


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)


def _addresses(host: str, resolve: Resolve) -> tuple[str, ...]:
    try:
        return (str(ip_address(host)),)
    except ValueError:
        pass
    try:
        return tuple(sorted(set(resolve(host)), key=lambda text: (":" in text, text)))
    except OSError:
        return ()


def _remarks(settings: Settings) -> tuple[str, ...]:
    found = []
    if settings.oauth2 and settings.network.https_proxy is None:
        found.append(
            "an identity provider may name further hosts for tokens and keys: "
            "`bennu oauth2 test NAME` shows them"
        )
    postgres = settings.storage.postgres
    if postgres is not None and (postgres.use_aws_iam_auth or postgres.use_azure_managed_identity):
        found.append("the credentials of the cloud come from addresses that its own library knows")
    found.append("providers and mail servers that admins store over REST are not known here")
    return tuple(found)
