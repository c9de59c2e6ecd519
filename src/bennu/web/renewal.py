"""Keeps people signed in: a page asked for after ten minutes gets a new access credential.

Scripts of clients call ``POST /auth/refresh`` themselves; a page that is opened, or a form that is
sent, cannot. So this layer does it for them, before the gate looks at the request.

Spec: line 257.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bennu.access import Caller, Principal, PrincipalKind
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions, TokenPair
from bennu.httpio.frame import user_agent_of
from bennu.httpio.request import ADDRESS, REQUEST_ID
from bennu.kernel.errors import AppError
from bennu.network.asgi import cookie_of, route_path, with_cookies

#: Paths that are for programs: those refresh by themselves, or have nothing to refresh.
#: Streams of pages come by themselves: with them a session that nobody uses would never end.
_NO_PAGES: Final = (
    "/v1/",
    "/api/",
    "/auth/",
    "/oauth2/",
    "/static/",
    "/events/",
    "/.well-known/",
    "/logout",
)


class SessionRenewal:
    """ASGI layer before the gate; concerns only requests without an access cookie.

    Args:
        app: what follows.
        sessions: that refresh.
        cookies: their names.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, cookies: SessionCookies) -> None:
        self._app, self._sessions, self._cookies = app, sessions, cookies
        self._access_name = cookies.access_name.encode()
        self._refresh_name = cookies.refresh_name.encode()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on, with a new access credential where one is due."""
        if scope["type"] == "http" and self._may_be_due(scope):
            return self._renewed(scope, receive, send)
        return self._app(scope, receive, send)

    def _may_be_due(self, scope: Scope) -> bool:
        headers = scope["headers"]
        if not any(name == b"cookie" and self._refresh_name in value for name, value in headers):
            return False
        return not route_path(scope).startswith(_NO_PAGES)

    async def _renewed(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        refresh = cookie_of(headers, self._refresh_name)
        is_bearer = any(name == b"authorization" for name, _ in headers)
        if not refresh or cookie_of(headers, self._access_name) or is_bearer:
            await self._app(scope, receive, send)
            return
        caller = Caller(
            Principal(PrincipalKind.ANONYMOUS),
            scope[ADDRESS],
            user_agent_of(scope),
            scope[REQUEST_ID],
        )
        try:
            pair = await self._sessions.refresh_session(refresh, caller)
        except AppError:
            await self._app(scope, receive, send)  # the page will ask to sign in
            return
        await self._app(self._with_pair(scope, pair), receive, self._setting(send, pair))

    def _with_pair(self, scope: Scope, pair: TokenPair) -> Scope:
        """Return the request as if the browser had sent the new credentials."""
        fresh = {
            self._access_name: pair.access.reveal().encode(),
            self._refresh_name: pair.refresh.reveal().encode(),
        }
        return {**scope, "headers": with_cookies(scope["headers"], fresh)}

    def _setting(self, send: Send, pair: TokenPair) -> Callable[[Message], Awaitable[None]]:
        """Hand the new credentials to the browser, unless the answer sets or ends a session."""
        made = Response()
        self._cookies.set_on(made, pair)
        fresh = [value for name, value in made.raw_headers if name == b"set-cookie"]
        own = self._refresh_name + b"="

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                if not any(n == b"set-cookie" and v.startswith(own) for n, v in headers):
                    headers += [(b"set-cookie", value) for value in fresh]
                    message = {**message, "headers": headers}
            await send(message)

        return wrapped
