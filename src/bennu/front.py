"""What every request and every call passes before its route, put together in one place.

The order, outermost first: the frame (id, client's address, headers, log line), the Host, CORS,
links from other sites, the gate (who is calling), the origin rule, the rate limits, the routes.
Layers whose settings are empty are left out.

Spec: lines 205-218, 226-239.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.sessions.cookies import SessionCookies
from bennu.httpio.dispatch import StrayAnswer, application_of
from bennu.httpio.frame import FrameOptions, RequestFrame
from bennu.httpio.request import CALLER
from bennu.httpio.route import Route
from bennu.kernel.clock import Clock
from bennu.kernel.errors import AppError
from bennu.kernel.ids import Entropy
from bennu.network.asgi import AsgiApp, Scope
from bennu.network.client_address import ClientAddresses
from bennu.network.connections import ConnectionBounds, Connections
from bennu.network.cors import CorsLayer
from bennu.network.cross_site_links import CrossSiteLinks, signed_in_pages
from bennu.network.csrf import CsrfGuard
from bennu.network.headers import answer_headers
from bennu.network.hosts import AllowedHosts, HostGuard, answered_hosts
from bennu.network.paths import pages_that_refuse_themselves
from bennu.network.rate_counters import Counters, MemoryCounters
from bennu.network.rate_limit import RateLimitLayer, RateLimits
from bennu.network.rate_redis import SharedCounters
from bennu.network.rate_rules import (
    LimitTable,
    RateLimit,
    check_rules_meet_routes,
    loosened_limits,
    parse_rate_rules,
)
from bennu.network.settings import NetworkSettings
from bennu.settings import Settings
from bennu.traces.ingest.grpc_service import METHOD, SERVICE

if TYPE_CHECKING:
    from bennu.monitoring.metrics import Metrics

logger: Final = logging.getLogger("bennu.network")


class Front:
    """The layers in front of the routes, and their twins for gRPC.

    Args:
        settings: of the server.
        clock: for limits and log lines.
        entropy: for request ids.
        audit: where refusals are recorded.
        metrics: where they are counted, None for nowhere.

    Raises:
        AppError: the storage of the limits cannot be used as configured.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
        audit: AuditLog,
        metrics: "Metrics | None" = None,
    ) -> None:
        self._settings, self._clock, self._entropy = settings, clock, entropy
        self._audit, self._metrics = audit, metrics
        network = settings.network
        self.addresses = ClientAddresses(network.trusted_proxies)
        self.connections = Connections(
            ConnectionBounds(per_address=network.max_connections_per_address), self.addresses
        )
        self._counters = counters_of(settings.network, clock)
        self._limits: RateLimits | None = None

    def http_application(
        self,
        routes: Sequence[Route],
        gated: Callable[[AsgiApp], AsgiApp],
        stray: StrayAnswer | None = None,
    ) -> RequestFrame:
        """Put the layers in front of the routes.

        Args:
            routes: the table.
            gated: puts in front of an application what finds out who is calling.
            stray: answers people who asked for what is in no table.

        Raises:
            AppError: a rule of the rate limits meets no route.
        """
        network, cookies = self._settings.network, self._session_cookies()
        app: AsgiApp = application_of(routes, self._note_denial, stray)
        if network.rate_limit_enabled:
            self._limits = self._limits_over(routes)
            app = RateLimitLayer(app, self._limits, pages_that_refuse_themselves(routes))
        app = gated(CsrfGuard(app, network, routes, cookies, self._note_cross_site))
        if cookies and (pages := signed_in_pages(routes)):
            app = CrossSiteLinks(app, pages, cookies)
        if network.allowed_origins:
            app = CorsLayer(app, network.allowed_origins)
        app = HostGuard(app, AllowedHosts(answered_hosts(network)))
        return RequestFrame(app, self._clock, self._entropy, self._frame_options())

    def _session_cookies(self) -> tuple[str, ...]:
        """Return the names of the cookies that carry a session; none with authentication off."""
        names = SessionCookies(self._settings.auth)
        return (names.access_name, names.refresh_name) if self._settings.auth.enabled else ()

    async def admit_export(self, caller: Caller) -> None:
        """Count an export over gRPC under the limits of its twin over HTTP.

        Raises:
            LimitExceededError: there were too many.
        """
        if self._limits is not None:
            await self._limits.admit_export(caller)

    async def stop(self) -> None:
        """Let connections go."""
        await self._counters.close()

    def _limits_over(self, routes: Sequence[Route]) -> RateLimits:
        rules = parse_rate_rules(self._settings.network.rate_limits)
        check_rules_meet_routes(rules, routes)
        for text in loosened_limits(rules, routes):
            logger.warning("rate_limit.loosened", extra={"why": text})
        return RateLimits(LimitTable(rules, routes), self._counters, self._note_exceeded)

    def _frame_options(self) -> FrameOptions:
        settings = self._settings
        is_https = settings.network.root_url_is_https or settings.tls.http
        return FrameOptions(
            root_url=settings.network.root_url,
            headers=answer_headers(is_https=is_https),
            address_of=self.addresses.of_request,
            on_answer=None if self._metrics is None else self._metrics.count_answer,
        )

    async def _note_denial(self, caller: Caller, route: Route, error: AppError) -> None:
        target = Target("route", f"{route.method} {route.path}")
        event = AuditEvent(EventName.DENIED, Outcome.DENIED, error.detail, target)
        await self._audit.note(event, caller)

    async def note_refusal(self, caller: Caller, call: str, error: AppError) -> None:
        """Record that a credential was refused, or a call over gRPC denied.

        Args:
            caller: as far as known.
            call: name of the call, "" at the door of HTTP.
            error: why; its detail is a fixed text without anything that was sent.
        """
        target = Target("rpc", call) if call else Target("route")
        await self._note(AuditEvent(EventName.DENIED, Outcome.DENIED, error.detail, target), caller)

    async def note_denied_export(self, caller: Caller, error: AppError) -> None:
        """Record that spans over gRPC were refused after the door, as for another project."""
        await self.note_refusal(caller, f"/{SERVICE}/{METHOD}", error)

    async def _note_exceeded(self, limit: RateLimit, caller: Caller, door: str) -> None:
        if self._metrics is not None:
            self._metrics.count_limited(limit.name, door)
        kind = "route" if door == "http" else "rpc"
        event = AuditEvent(
            EventName.RATE_LIMIT_EXCEEDED,
            Outcome.DENIED,
            limit.name,
            Target(kind, limit.name),
            after={"limit": limit.in_words},
        )
        await self._note(event, caller)

    async def _note_cross_site(self, scope: Scope, objection: str) -> None:
        reason = objection.replace(" ", "_")
        await self._note(AuditEvent(EventName.DENIED, Outcome.DENIED, reason), scope[CALLER])

    async def _note(self, event: AuditEvent, caller: Caller) -> None:
        """Record a refusal; one that cannot be recorded now is kept, and refused all the same."""
        try:
            await self._audit.note(event, caller)
        except AppError as error:
            logger.warning("audit.note.failed", extra={"reason": error.detail or error.public})


def counters_of(settings: NetworkSettings, clock: Clock) -> Counters:
    """Return where requests are counted.

    Raises:
        SharedCountersError: the client of Redis is missing or refuses the address.
    """
    url = settings.rate_limit_storage_url
    if not settings.rate_limit_enabled or url is None or url.reveal().startswith("memory:"):
        return MemoryCounters(clock.monotonic_seconds)
    return SharedCounters(url, clock)
