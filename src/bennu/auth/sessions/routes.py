"""Refreshing a session and signing out.

Spec: line 257.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bennu.access import Caller, Principal, PrincipalKind
from bennu.audit.events import EventName
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions
from bennu.httpio.request import CALLER
from bennu.httpio.respond import empty_answer
from bennu.httpio.route import Door, Limit, Route
from bennu.kernel.errors import DeniedError

_SAME_SITE: Final = frozenset({"same-origin", "none"})


def caller_or_stranger(request: Request) -> Caller:
    """Return the caller, also where a credential was refused: open routes do not need one."""
    caller: Caller | None = request.scope.get(CALLER)
    return Caller(Principal(PrincipalKind.ANONYMOUS)) if caller is None else caller


def session_routes(sessions: Sessions, cookies: SessionCookies) -> tuple[Route, ...]:
    """Return the routes of sessions."""

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
        answer = RedirectResponse("/login", 302)
        presented = request.cookies.get(cookies.refresh_name, "")
        await sessions.end_own_session(caller_or_stranger(request), presented)
        cookies.delete_on(answer)
        return answer

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
