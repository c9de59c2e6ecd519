"""Refuses requests that another website makes a signed-in browser send.

Concerned is every request that changes something and carries a session cookie, or would set one
(signing in, refreshing, signing out); with authentication off, where nothing depends on a cookie,
every request that changes something except the export of traces. A client certificate is, like a
cookie, sent by a browser on its own; a bearer credential is not, so requests that carry one are
not concerned.

Spec: lines 209-211. Contract: security, section 14 (the texts of refusals).
"""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Final

from bennu.access import PrincipalKind
from bennu.httpio.request import BLOCKED, CALLER
from bennu.httpio.respond import text_answer
from bennu.httpio.route import Door, Route
from bennu.kernel.errors import DeniedError
from bennu.network.asgi import AsgiApp, Receive, Scope, Send, header_values, route_path
from bennu.network.origins import OriginRule, Provenance
from bennu.network.paths import PathSet, pages_that_refuse_themselves
from bennu.network.settings import NetworkSettings

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: OTLP is spoken by exporters; one that runs in a page of another site has no cookie of ours.
_EXPORT: Final = "/v1/traces"
_LONGEST_BEARER_WORD: Final = 7

#: Told of every refusal, for the audit trail.
RefusalListener = Callable[[Scope, str], Awaitable[None]]


def session_setting_routes(routes: Iterable[Route]) -> PathSet:
    """Return the routes that can set or end a session: those that change something and are open."""
    return PathSet((r.method, r.path) for r in routes if r.changes and r.permission is Door.OPEN)


class CsrfGuard:
    """ASGI layer between the gate and the routes.

    Args:
        app: what follows.
        settings: the origins that are trusted.
        routes: the table of routes.
        cookies: names of the cookies that carry a session; empty when authentication is off.
        on_refused: told of refusals.
    """

    def __init__(
        self,
        app: AsgiApp,
        settings: NetworkSettings,
        routes: Iterable[Route],
        cookies: Iterable[str],
        on_refused: RefusalListener,
    ) -> None:
        self._app, self._on_refused = app, on_refused
        self._rule = OriginRule(settings)
        listed = tuple(routes)
        self._session_setting = session_setting_routes(listed)
        self._pages = pages_that_refuse_themselves(listed)
        self._cookies = tuple(name.encode() for name in cookies)
        has_list = bool(settings.csrf_trusted_origins or settings.allowed_origins)
        self._status = HTTPStatus.UNAUTHORIZED if has_list else HTTPStatus.FORBIDDEN

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Refuse what another website sends; pass everything else on."""
        if scope["type"] != "http" or scope["method"] in _SAFE or not self._is_concerned(scope):
            return self._app(scope, receive, send)
        objection = self._rule.objection(_provenance(scope))
        if not objection:
            return self._app(scope, receive, send)
        return self._refuse(objection, scope, receive, send)

    def _is_concerned(self, scope: Scope) -> bool:
        has_cookie = False
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:_LONGEST_BEARER_WORD].lower() == b"bearer ":
                return False
            if name == b"cookie":
                has_cookie = has_cookie or any(cookie in value for cookie in self._cookies)
        path = route_path(scope)
        if scope[CALLER].principal.kind is PrincipalKind.CERTIFICATE:
            return True
        if has_cookie or self._session_setting.holds(scope["method"], path):
            return True
        return not self._cookies and path != _EXPORT

    async def _refuse(self, objection: str, scope: Scope, receive: Receive, send: Send) -> None:
        error = DeniedError(objection, detail=objection.replace(" ", "_"))
        if self._pages.holds(scope["method"], route_path(scope)):
            scope[BLOCKED] = error
            await self._app(scope, receive, send)
            return
        scope["bennu.error"] = error
        await self._on_refused(scope, objection)
        await text_answer(objection, self._status)(scope, receive, send)


def _provenance(scope: Scope) -> Provenance:
    hosts = header_values(scope, b"host")
    return Provenance(
        origins=header_values(scope, b"origin"),
        fetch_sites=header_values(scope, b"sec-fetch-site"),
        referers=header_values(scope, b"referer"),
        scheme=scope["scheme"],
        host=hosts[0] if hosts else "",
    )
