"""Refreshing a session, signing out, seeing and ending sessions.

Spec: line 257.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bennu.access import Caller, Permission, Principal, PrincipalKind
from bennu.audit.events import EventName
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import SESSION, ProviderSession, Sessions
from bennu.auth.sessions.overview import SessionOverview
from bennu.auth.sessions.store import SessionRow
from bennu.httpio.dispatch import public_address
from bennu.httpio.request import CALLER, caller_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Door, Handler, Limit, Query, Route
from bennu.kernel.errors import DeniedError
from bennu.kernel.ids import global_id

_SAME_SITE: Final = frozenset({"same-origin", "none"})
_KEEP_CURRENT: Final = (
    Query("keep_current", "boolean", meaning="Whether the session that asks stays open"),
)


def caller_or_stranger(request: Request) -> Caller:
    """Return the caller, also where a credential was refused: open routes do not need one."""
    caller: Caller | None = request.scope.get(CALLER)
    return Caller(Principal(PrincipalKind.ANONYMOUS)) if caller is None else caller


def session_json(session: SessionRow, current: int | None) -> dict[str, Any]:
    """Write a session for the person it belongs to, or for an admin."""
    return {
        "id": global_id(SESSION, session.row_id),
        "created_at": time_text(session.created_at),
        "last_used_at": time_text(session.last_used_at),
        "expires_at": time_text(session.expires_at),
        "address": session.address,
        "user_agent": session.user_agent,
        "auth_methods": list(session.methods),
        "provider": session.provider,
        "current": session.row_id == current,
    }


#: Where a browser goes after signing out, given the request and what a provider knows.
NextAddress = Callable[[Request, ProviderSession | None], Awaitable[str]]


async def sign_in_page(request: Request, ended: ProviderSession | None) -> str:  # noqa: ARG001 - see NextAddress
    """Return the page of this server for after signing out."""
    return urlsplit(public_address(request)).path + "/login"


def session_routes(
    sessions: Sessions, cookies: SessionCookies, next_address: NextAddress = sign_in_page
) -> tuple[Route, ...]:
    """Return the routes of refreshing and signing out.

    Args:
        sessions: the flows.
        cookies: what the browser is given and what is taken back.
        next_address: where a link that signs out leads to.
    """

    async def refresh(request: Request) -> Response:
        presented = request.cookies.get(cookies.refresh_name, "")
        pair = await sessions.refresh_session(presented, caller_or_stranger(request))
        answer = empty_answer()
        cookies.set_on(answer, pair)
        return answer

    async def sign_out(request: Request) -> Response:
        presented = request.cookies.get(cookies.refresh_name, "")
        await sessions.end_own_session(caller_or_stranger(request), presented)
        answer = empty_answer()
        cookies.delete_on(answer)
        return answer

    async def sign_out_by_link(request: Request) -> Response:
        # A GET that changes something must prove that it comes from our own pages, or was typed.
        if request.headers.get("sec-fetch-site", "cross-site") not in _SAME_SITE:
            raise DeniedError("Sign out with POST /auth/logout", detail="no same-site proof")
        presented = request.cookies.get(cookies.refresh_name, "")
        ended = await sessions.end_own_session(caller_or_stranger(request), presented)
        answer = RedirectResponse(await next_address(request, ended), 302)
        cookies.delete_on(answer)
        return answer

    return _signing_out_routes(refresh, sign_out, sign_out_by_link)


def _signing_out_routes(
    refresh: Handler, sign_out: Handler, sign_out_by_link: Handler
) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/auth/refresh",
            handler=refresh,
            permission=Door.OPEN,
            summary="Exchange the refresh cookie for new cookies",
            status=204,
            no_event="nobody's authority changes; a second use is recorded",
            errors=(401,),
        ),
        Route(
            method="POST",
            path="/auth/logout",
            handler=sign_out,
            permission=Door.OPEN,
            summary="Sign out",
            status=204,
            events=(EventName.SIGN_OUT,),
            before_password_change=True,
        ),
        Route(
            method="GET",
            path="/auth/logout",
            handler=sign_out_by_link,
            permission=Door.OPEN,
            limit=Limit.API,
            summary="Sign out by a link of the server's own pages",
            status=302,
            before_password_change=True,
            errors=(403,),
        ),
    )


class _OverviewHandlers:
    """Decode, call the flow, encode."""

    def __init__(self, overview: SessionOverview, cookies: SessionCookies) -> None:
        self._overview, self._cookies = overview, cookies

    async def list_own(self, request: Request) -> Response:
        """One's own open sessions."""
        caller = caller_of(request)
        found = await self._overview.list_own_sessions(caller)
        current = caller.principal.session_id
        return json_answer({"data": [session_json(session, current) for session in found]})

    async def end_own(self, request: Request) -> Response:
        """End one of one's own sessions."""
        session_id = path_value(request, "session_id")
        was_current = await self._overview.end_own_session(caller_of(request), session_id)
        return self._ended(forget=was_current)

    async def end_all_own(self, request: Request) -> Response:
        """End one's own sessions."""
        kept = bool(query_values(request, _KEEP_CURRENT)["keep_current"])
        await self._overview.end_own_sessions(caller_of(request), keep_current=kept)
        return self._ended(forget=not kept)

    async def list_of(self, request: Request) -> Response:
        """A user's open sessions."""
        found = await self._overview.list_sessions_of(path_value(request, "user_id"))
        current = caller_of(request).principal.session_id
        return json_answer({"data": [session_json(session, current) for session in found]})

    async def end_all_of(self, request: Request) -> Response:
        """End a user's sessions."""
        await self._overview.end_sessions_of(caller_of(request), path_value(request, "user_id"))
        return empty_answer()

    def _ended(self, *, forget: bool) -> Response:
        answer = empty_answer()
        if forget:
            self._cookies.delete_on(answer)
        return answer


def session_overview_routes(
    overview: SessionOverview, cookies: SessionCookies
) -> tuple[Route, ...]:
    """Return the routes of seeing and ending sessions."""
    handlers = _OverviewHandlers(overview, cookies)
    return (*_own_session_routes(handlers), *_account_session_routes(handlers))


def _own_session_routes(handlers: _OverviewHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/user/sessions",
            handler=handlers.list_own,
            permission=Door.PERSON,
            summary="One's own open sessions: when, from where, with which client",
            response=dict,
        ),
        Route(
            method="DELETE",
            path="/v1/user/sessions",
            handler=handlers.end_all_own,
            permission=Door.PERSON,
            summary="End one's own sessions",
            status=204,
            query=_KEEP_CURRENT,
            events=(EventName.SESSION_ENDED,),
        ),
        Route(
            method="DELETE",
            path="/v1/user/sessions/{session_id}",
            handler=handlers.end_own,
            permission=Door.PERSON,
            summary="End one of one's own sessions",
            status=204,
            events=(EventName.SESSION_ENDED,),
            errors=(404,),
        ),
    )


def _account_session_routes(handlers: _OverviewHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/users/{user_id}/sessions",
            handler=handlers.list_of,
            permission=Permission.USERS_MANAGE,
            summary="The open sessions of a user",
            response=dict,
            errors=(404,),
        ),
        Route(
            method="DELETE",
            path="/v1/users/{user_id}/sessions",
            handler=handlers.end_all_of,
            permission=Permission.USERS_MANAGE,
            summary="End all sessions of a user; API keys stay",
            status=204,
            events=(EventName.SESSION_ENDED,),
            errors=(404,),
        ),
    )
