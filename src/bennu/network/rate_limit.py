"""Applies the limits: an ASGI layer between the gate and the routes, and its twin for gRPC.

It stands behind the gate because limits per key need to know the caller, and behind the origin
rule, so that another website cannot use up the attempts of its visitors.

Spec: lines 212-218. Source: RFC 6585 section 4 (429); RateLimit header fields for HTTP (IETF
httpapi draft 10).
"""

from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final

from bennu.access import Caller
from bennu.httpio.request import BLOCKED, CALLER
from bennu.httpio.respond import text_answer
from bennu.kernel.errors import TooManyError
from bennu.network.asgi import AsgiApp, Receive, Scope, Send, route_path
from bennu.network.client_address import limit_key
from bennu.network.paths import PathSet
from bennu.network.rate_counters import Counters
from bennu.network.rate_rules import CountedBy, LimitTable, RateLimit

TOO_MANY: Final = "Too Many Requests"
_EXPORT: Final = ("POST", "/v1/traces")

#: Told of every refusal: the limit, who met it, and whether it was ``http`` or ``grpc``.
ExceededListener = Callable[[RateLimit, Caller, str], Awaitable[None]]


class LimitExceededError(TooManyError):
    """Too many requests in the window of a limit."""

    code = "rate_limit"

    def __init__(self, limit: RateLimit, wait_seconds: float) -> None:
        seconds = max(1, ceil(wait_seconds))
        super().__init__(TOO_MANY, detail=f"rate limit {limit.name}", retry_after_seconds=seconds)
        self.limit = limit
        self.headers: Final = {
            "retry-after": str(seconds),
            "ratelimit-policy": f'"{limit.name}";q={limit.count};w={limit.window_seconds}',
            "ratelimit": f'"{limit.name}";r=0;t={seconds}',
        }


class RateLimits:
    """The limits of one server, for both doors.

    Args:
        table: which limits a request meets.
        counters: where requests are counted.
        on_exceeded: told of refusals.
    """

    def __init__(
        self, table: LimitTable, counters: Counters, on_exceeded: ExceededListener
    ) -> None:
        self._table, self._counters, self._on_exceeded = table, counters, on_exceeded
        self._of_export = table.limits_of(*_EXPORT)

    def limits_of(self, method: str, path: str) -> tuple[RateLimit, ...]:
        """Return the limits that a request meets; usually none."""
        return self._table.limits_of(method, path)

    async def admit(self, limits: tuple[RateLimit, ...], caller: Caller, door: str) -> None:
        """Count a request under each limit.

        Args:
            limits: as ``limits_of`` gives them.
            caller: who asks.
            door: ``http`` or ``grpc``.

        Raises:
            LimitExceededError: there were too many.
        """
        for limit in limits:
            wait = await self._counters.take(limit, _who(limit, caller))
            if wait > 0:
                await self._on_exceeded(limit, caller, door)
                raise LimitExceededError(limit, wait)

    async def admit_export(self, caller: Caller) -> None:
        """Count an export over gRPC as its twin over HTTP; raises as ``admit``."""
        if self._of_export:
            await self.admit(self._of_export, caller, "grpc")


def _who(limit: RateLimit, caller: Caller) -> str:
    """Return under what the caller is counted; the kind stands first, so that none is another."""
    principal = caller.principal
    if limit.counted_by is CountedBy.KEY and principal.credential_id:
        return f"key {principal.credential_id}"
    if limit.counted_by is not CountedBy.IP and principal.public_id:
        return f"user {principal.public_id}"
    return f"ip {limit_key(caller.address)}"


class RateLimitLayer:
    """ASGI layer that answers 429 to what exceeds a limit.

    Args:
        app: what follows.
        limits: of the server.
        pages: that turn the refusal into a page of their own.
    """

    def __init__(self, app: AsgiApp, limits: RateLimits, pages: PathSet) -> None:
        self._app, self._limits, self._pages = app, limits, pages

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on what meets no limit, or was refused already; count the rest."""
        if scope["type"] == "http" and BLOCKED not in scope:
            limits = self._limits.limits_of(scope["method"], route_path(scope))
            if limits:
                return self._count(limits, scope, receive, send)
        return self._app(scope, receive, send)

    async def _count(
        self, limits: tuple[RateLimit, ...], scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            await self._limits.admit(limits, scope[CALLER], "http")
        except LimitExceededError as error:
            if self._pages.holds(scope["method"], route_path(scope)):
                scope[BLOCKED] = error
                await self._app(scope, receive, send)
                return
            scope["bennu.error"] = error
            await text_answer(error.public, 429, error.headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)
