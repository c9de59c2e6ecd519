"""Account: profile, password, own sessions, colours.

Spec: lines 13, 257.
"""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.audit.events import EventName
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import SESSION
from bennu.auth.sessions.overview import SessionOverview
from bennu.auth.settings import AuthSettings
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Door, Route
from bennu.kernel.errors import AppError, FieldProblem, SchemaError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.users.flow import Users
from bennu.users.model import AuthMethod, UserChange
from bennu.web.client_names import client_name
from bennu.web.pages import Pages, problems_of
from bennu.web.shell import THEME_COOKIE, Theme

_YEAR_SECONDS: Final = 365 * 86_400
_REPEATED: Final = "repeated_password"


@dataclass(frozen=True, slots=True)
class AccountFlows:
    """The flows behind these pages, and the shortest password that they take."""

    users: Users
    overview: SessionOverview
    cookies: SessionCookies
    auth: AuthSettings


class _AccountPages:
    def __init__(self, pages: Pages, flows: AccountFlows) -> None:
        self._pages, self._flows = pages, flows

    async def profile(self, request: Request) -> Response:
        """Who one is here."""
        return await self._show_profile(request)

    async def _show_profile(
        self, request: Request, status: int = 200, error: AppError | None = None
    ) -> Response:
        caller = caller_of(request)
        return self._pages.show(
            request,
            "account.html",
            status,
            user=await self._flows.users.own_account(caller),
            permissions=sorted(caller.principal.permissions),
            errors={} if error is None else problems_of(error),
        )

    async def change_profile(self, request: Request) -> Response:
        """Change one's own name."""
        form = await self._pages.form(request)
        change = UserChange(username=form.text("username"))
        try:
            await self._flows.users.change_own_account(caller_of(request), None, change)
        except AppError as error:
            return await self._show_profile(request, status_of(error), error)
        return self._pages.go("/account", done="changed")

    async def password(self, request: Request) -> Response:
        """The form for a new password; the first page where one must be chosen."""
        return await self._show_password(request)

    async def _show_password(
        self, request: Request, status: int = 200, error: AppError | None = None
    ) -> Response:
        caller = caller_of(request)
        user = await self._flows.users.own_account(caller)
        return self._pages.show(
            request,
            "account_password.html",
            status,
            is_local=user is not None and user.auth_method == AuthMethod.LOCAL,
            email="" if user is None else user.email or "",
            is_forced=caller.principal.must_change_password,
            shortest=self._flows.auth.password_min_length,
            is_strong=self._flows.auth.strong_password_policy,
            errors={} if error is None else problems_of(error),
        )

    async def change_password(self, request: Request) -> Response:
        """Change one's own password; every session ends, this one too."""
        form = await self._pages.form(request)
        try:
            if form.raw("password") != form.raw(_REPEATED):
                raise SchemaError(FieldProblem(("body", _REPEATED), "The two are not the same"))
            await self._flows.users.change_own_account(
                caller_of(request),
                Secret(form.raw("current_password")),
                UserChange(password=Secret(form.raw("password"))),
            )
        except AppError as error:
            return await self._show_password(request, status_of(error), error)
        answer = self._pages.go("/login", done="password-changed")
        self._flows.cookies.delete_on(answer)
        return answer

    # --- sessions ------------------------------------------------------------------------------

    async def sessions(self, request: Request) -> Response:
        """One's own open sessions."""
        caller = caller_of(request)
        rows = [
            {
                "id": global_id(SESSION, row.row_id),
                "client": client_name(row.user_agent),
                "user_agent": row.user_agent,
                "address": row.address,
                "created_at": row.created_at,
                "last_used_at": row.last_used_at,
                "is_current": row.row_id == caller.principal.session_id,
            }
            for row in await self._flows.overview.list_own_sessions(caller)
        ]
        return self._pages.show(request, "account_sessions.html", rows=rows)

    async def end_session(self, request: Request) -> Response:
        """End one of one's own sessions."""
        await self._pages.form(request)
        was_current = await self._flows.overview.end_own_session(
            caller_of(request), path_value(request, "session_id")
        )
        return self._after_ending(was_current=was_current)

    async def end_others(self, request: Request) -> Response:
        """End all of one's own sessions but this one."""
        await self._pages.form(request)
        await self._flows.overview.end_own_sessions(caller_of(request), keep_current=True)
        return self._after_ending(was_current=False)

    def _after_ending(self, *, was_current: bool) -> Response:
        if not was_current:
            return self._pages.go("/account/sessions", done="ended")
        answer = self._pages.go("/logout")
        self._flows.cookies.delete_on(answer)
        return answer

    # --- colours -------------------------------------------------------------------------------

    async def choose_theme(self, request: Request) -> Response:
        """Keep the chosen colours in this browser."""
        form = await self._pages.form(request)
        chosen = form.text("theme")
        answer = self._pages.go("/account", done="changed")
        if chosen in set(Theme):
            answer.set_cookie(
                THEME_COOKIE, chosen, max_age=_YEAR_SECONDS, httponly=True, samesite="lax"
            )
        return answer


def account_page_routes(pages: Pages, flows: AccountFlows) -> tuple[Route, ...]:
    """Return the routes of one's own pages."""
    of = _AccountPages(pages, flows)
    table = (*_profile_routes(of), *_session_routes(of))
    return tuple(pages.as_page(route) for route in table)


def _profile_routes(of: _AccountPages) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/account",
            handler=of.profile,
            permission=Door.PERSON,
            summary="The page of one's own account",
        ),
        Route(
            method="POST",
            path="/account",
            handler=of.change_profile,
            permission=Door.PERSON,
            summary="Change one's own name by the form of the page",
            status=303,
            events=(EventName.USER_CHANGED,),
        ),
        Route(
            method="GET",
            path="/account/password",
            handler=of.password,
            permission=Door.PERSON,
            summary="The page for a new password",
            before_password_change=True,
        ),
        Route(
            method="POST",
            path="/account/password",
            handler=of.change_password,
            permission=Door.PERSON,
            summary="Change one's own password by the form of the page",
            status=303,
            events=(EventName.PASSWORD_CHANGED,),
            before_password_change=True,
        ),
        Route(
            method="POST",
            path="/account/theme",
            handler=of.choose_theme,
            permission=Door.SIGNED_IN,
            summary="Choose colours by the form of the page",
            status=303,
            no_event="a cookie of this browser; nothing is stored here",
        ),
    )


def _session_routes(of: _AccountPages) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/account/sessions",
            handler=of.sessions,
            permission=Door.PERSON,
            summary="The page of one's own sessions",
        ),
        Route(
            method="POST",
            path="/account/sessions/end-others",
            handler=of.end_others,
            permission=Door.PERSON,
            summary="End all other sessions of one's own by the form of the page",
            status=303,
            events=(EventName.SESSION_ENDED,),
        ),
        Route(
            method="POST",
            path="/account/sessions/{session_id}/end",
            handler=of.end_session,
            permission=Door.PERSON,
            summary="End one session of one's own by the form of the page",
            status=303,
            events=(EventName.SESSION_ENDED,),
        ),
    )
