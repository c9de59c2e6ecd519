"""Which Host headers are answered: protection against DNS rebinding.

A page on evil.example whose name suddenly resolves to this server is, for the browser, of the
same origin as the server. Its requests still carry ``Host: evil.example``.

Spec: lines 205-207. Source: RFC 9110 section 7.2, RFC 9112 section 3.2.
"""

import re
from collections.abc import Awaitable, Sequence
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from bennu.httpio.respond import error_answer
from bennu.kernel.errors import MalformedError
from bennu.network.asgi import AsgiApp, Receive, Scope, Send, route_path
from bennu.network.settings import NetworkSettings

#: Probes of orchestrators ask by address; what these answer is no secret.
PROBES: Final = frozenset({"/healthz", "/readyz"})
LOOPBACK_HOSTS: Final = ("localhost", "*.localhost", "127.0.0.0/8", "::1")
_MOST_REMEMBERED: Final = 1_000
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(?::([0-9]{1,5}))?")
_REFUSED: Final = "Invalid Host header"


def answered_hosts(settings: NetworkSettings) -> tuple[str, ...]:
    """Return the patterns of hosts that are answered; empty means any.

    Default: the host of the root URL and the loopback names; when other machines can connect and
    there is no root URL, the names by which they do so are unknown, and any is answered.
    """
    if settings.allowed_hosts:
        return () if "*" in settings.allowed_hosts else settings.allowed_hosts
    if settings.root_url is not None:
        return (urlsplit(settings.root_url).hostname or "", *LOOPBACK_HOSTS)
    return () if settings.listens_beyond_loopback else LOOPBACK_HOSTS


class AllowedHosts:
    """The rule.

    Args:
        patterns: names, ``*.name`` for every name below one, addresses, networks, each perhaps
            with a port; empty for any host.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._remembered: dict[str, bool] = {}

    def allows(self, host: str) -> bool:
        """Whether a Host header, as sent, names one of them."""
        known = self._remembered.get(host)
        if known is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            known = self._remembered[host] = self._is_allowed(host)
        return known

    def _is_allowed(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name, port = match[1].strip("[]").rstrip(".").lower(), match[2] or ""
        return not self._patterns or any(_fits(name, port, p) for p in self._patterns)


def _fits(name: str, port: str, pattern: str) -> bool:
    network = _network_fits(name, pattern)
    if network is not None:
        return network
    wanted, _, wanted_port = pattern.partition(":")
    if wanted_port and wanted_port != port:
        return False
    if wanted.startswith("*."):
        return name.endswith(wanted[1:]) and len(name) >= len(wanted)
    return name == wanted


def _network_fits(name: str, pattern: str) -> bool | None:
    """Whether an address is in the network of a pattern; None when the pattern is none."""
    try:
        network = ip_network(pattern.strip("[]"), strict=False)
    except ValueError:
        return None
    try:
        return ip_address(name) in network
    except ValueError:
        return False


class HostGuard:
    """ASGI layer that answers 400 to a Host that is not allowed, missing, or given twice."""

    def __init__(self, app: AsgiApp, hosts: AllowedHosts) -> None:
        self._app, self._hosts = app, hosts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Look at the Host, then pass the request on."""
        if scope["type"] == "http" and route_path(scope) not in PROBES:
            found = None
            for name, value in scope["headers"]:
                if name == b"host":
                    if found is not None:
                        return self._refuse(scope, receive, send, "two Host headers")
                    found = value
            if found is None:
                if scope["http_version"] != "1.0":
                    return self._refuse(scope, receive, send, "no Host header")
            elif not self._hosts.allows(found.decode("latin-1")):
                return self._refuse(scope, receive, send, "Host not in PHOENIX_ALLOWED_HOSTS")
        return self._app(scope, receive, send)

    def _refuse(self, scope: Scope, receive: Receive, send: Send, why: str) -> Awaitable[None]:
        error = MalformedError(_REFUSED, detail=why)
        scope["bennu.error"] = error
        return error_answer(error)(scope, receive, send)
