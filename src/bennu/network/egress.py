"""The one way out: every HTTP request that the server itself makes goes through here.

A host is resolved once and the connection goes to what was resolved; redirects are followed on
the same origin only; time and size are bounded; answers are never decompressed.

Spec: lines 91-133. Source: OWASP Server-Side Request Forgery Prevention; RFC 9110 section 15.4.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urljoin

from bennu.kernel.errors import UnavailableError
from bennu.kernel.secret import Secret
from bennu.network.destinations import (
    Destinations,
    Resolver,
    check_proxied_destination,
    plain_host,
    resolve_destination,
    resolve_with_system,
)

if TYPE_CHECKING:
    import httpx

_FAILED: Final = "An outside service could not be asked"
#: Nothing but what is needed; whatever programs read in different ways is refused.
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][!-~]*)?"
)
_FORBIDDEN_IN_URL: Final = re.compile(r"[\\\"<>^`{|}#]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65_535
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 3
_CONNECT_SECONDS: Final = 4.0
_MOST_URL_CHARACTERS: Final = 8192
_HEADERS: Final = {"accept-encoding": "identity", "user-agent": "bennu", "connection": "close"}


class EgressError(UnavailableError):
    """The outside did not answer, not in time, or not with what can be used."""

    code = "egress"

    def __init__(self, detail: str) -> None:
        super().__init__(_FAILED, detail=detail, retry_after_seconds=30)


@dataclass(frozen=True, slots=True)
class Outbound:
    """One request to the outside.

    Args:
        url: http only on loopback; no user, no fragment, no character that needs escaping.
        form: sent as a form when not None.
        headers: in lower case.
        total_seconds: for everything, redirects included.
        most_bytes: of the body of the answer.
        follow_redirects: on the same origin; else they are returned as they are.
    """

    url: str
    method: str = "GET"
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    total_seconds: float = 10.0
    most_bytes: int = 1_048_576
    follow_redirects: bool = True


@dataclass(frozen=True, slots=True)
class Inbound:
    """The answer: status, headers in lower case, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """What an address names, checked: the host as compared, and the rest as sent."""

    scheme: str
    host: str
    port: int
    rest: str

    @property
    def origin(self) -> str:
        """Scheme, host and port; two addresses of one origin are the same server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def host_header(self) -> str:
        """The host as the server at the other end expects it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """Take an address apart, strictly.

    Raises:
        EgressError: it has a user, a fragment, another scheme, or characters that programs read
            in different ways; or it is http beyond loopback.
    """
    match = _URL.fullmatch(url) if len(url) <= _MOST_URL_CHARACTERS else None
    if match is None or _FORBIDDEN_IN_URL.search(url):
        raise EgressError("not an address that this server calls")
    scheme, host = match["scheme"], plain_host(match["host"])
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if not 1 <= port <= _MAX_PORT:
        raise EgressError("not a port")
    if scheme == "http" and host not in _LOOPBACK:
        raise EgressError(f"{host} is called over https only")
    rest = match["rest"] or "/"
    return Target(scheme, host, port, rest if rest.startswith("/") else f"/{rest}")


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise EgressError("a redirect to what is no address") from None


class Egress:
    """Makes the requests.

    Args:
        destinations: which hosts may be called.
        proxy: for https addresses beyond loopback; it resolves names itself.
        no_proxy: hosts and domains that are called without it.
        resolve: from a name to its addresses.
        trust: authorities of https servers; those of this machine when None.
    """

    def __init__(
        self,
        destinations: Destinations,
        *,
        proxy: Secret | None = None,
        no_proxy: tuple[str, ...] = (),
        resolve: Resolver = resolve_with_system,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._destinations, self._resolve, self._trust = destinations, resolve, trust
        self._proxy, self._no_proxy = proxy, no_proxy

    async def send(self, outbound: Outbound) -> Inbound:
        """Ask, and return what was answered, whatever its status.

        Raises:
            EgressError: no answer in time, too large, a redirect elsewhere, a broken connection.
            DestinationRefusedError: the host may not be called.
        """
        # Loaded when first needed, as many never need it, and beside the event loop.
        await asyncio.to_thread(import_module, "httpx")
        try:
            async with asyncio.timeout(outbound.total_seconds):
                return await self._send_and_follow(outbound)
        except TimeoutError:
            host = target_of(outbound.url).host
            raise EgressError(
                f"{host} did not answer within {outbound.total_seconds:g} s"
            ) from None

    async def _send_and_follow(self, outbound: Outbound) -> Inbound:
        origin = target_of(outbound.url).origin
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._send_once(outbound)
            if answer.status not in _REDIRECTS or not outbound.follow_redirects:
                return answer
            url = _redirected(outbound.url, answer.headers.get("location", ""))
            if outbound.method != "GET" or target_of(url).origin != origin:
                raise EgressError(f"{origin} redirects elsewhere, which is not followed")
            outbound = replace(outbound, url=url)
        raise EgressError(f"{origin} redirects too often")

    async def _send_once(self, outbound: Outbound) -> Inbound:
        target = target_of(outbound.url)
        if self._proxy is not None and self._goes_through_proxy(target):
            check_proxied_destination(self._destinations, target.host, target.port)
            return await self._ask(target, outbound, target.host, self._proxy)
        addresses = await resolve_destination(
            self._destinations, target.host, target.port, self._resolve
        )
        last: EgressError | None = None
        for address in addresses:
            try:
                return await self._ask(target, outbound, address, None)
            except _ConnectError as error:
                last = error
        raise EgressError(last.detail if last else f"{target.host} has no address")

    def _goes_through_proxy(self, target: Target) -> bool:
        if target.scheme != "https" or target.host in _LOOPBACK or target.host.startswith("127."):
            return False
        return not any(
            name in {"*", target.host} or target.host.endswith(f".{name}")
            for name in self._no_proxy
        )

    async def _ask(
        self, target: Target, outbound: Outbound, address: str, proxy: Secret | None
    ) -> Inbound:
        """Ask one address. A connection is used once: kept ones know no names, only addresses."""
        trust = self._trust
        if trust is None:
            trust = await asyncio.to_thread(_authorities)
        import httpx  # noqa: PLC0415 - see send

        transport = httpx.AsyncHTTPTransport(
            verify=trust,
            http2=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            proxy=None if proxy is None else httpx.Proxy(proxy.reveal()),
        )
        try:
            async with transport:
                answer = await transport.handle_async_request(_request(target, outbound, address))
                return await _read(answer, target, outbound.most_bytes)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _ConnectError(f"{target.host}: {_reason(error)}") from None
        except httpx.TransportError as error:
            raise EgressError(f"{target.host}: {_reason(error)}") from None


class _ConnectError(EgressError):
    """Nobody answers at one address; another one may."""


def _request(target: Target, outbound: Outbound, address: str) -> "httpx.Request":
    import httpx  # noqa: PLC0415 - see Egress.send

    host = f"[{address}]" if ":" in address else address
    headers = {**_HEADERS, **outbound.headers, "host": target.host_header}
    content = None
    if outbound.form is not None:
        content = urlencode(outbound.form).encode()
        headers["content-type"] = "application/x-www-form-urlencoded"
    seconds = outbound.total_seconds
    times = {"connect": min(_CONNECT_SECONDS, seconds), "read": seconds, "write": seconds}
    return httpx.Request(
        outbound.method,
        f"{target.scheme}://{host}:{target.port}{target.rest}",
        headers=headers,
        content=content,
        # The name, not the address, is what the certificate must be for.
        extensions={"sni_hostname": target.host, "timeout": {**times, "pool": seconds}},
    )


async def _read(answer: "httpx.Response", target: Target, most_bytes: int) -> Inbound:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if headers.get("content-encoding", "identity") != "identity":
        raise EgressError(f"{target.host} answers compressed, which was not asked for")
    too_large = EgressError(f"{target.host} answers with more than {most_bytes} bytes")
    if int(_decimal(headers.get("content-length", ""))) > most_bytes:
        raise too_large
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise too_large
    return Inbound(answer.status_code, headers, bytes(body))


def _decimal(text: str) -> str:
    return text if text.isascii() and text.isdecimal() and len(text) < len("9" * 20) else "0"


def _reason(error: Exception) -> str:
    """Say what went wrong; certificates say why, the rest by the name of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


@cache
def _authorities() -> ssl.SSLContext:
    """Trust what this machine trusts; SSL_CERT_FILE and SSL_CERT_DIR are heeded by OpenSSL."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        import certifi  # noqa: PLC0415 - comes with httpx; for machines without authorities

        context.load_verify_locations(certifi.where())
    return context
