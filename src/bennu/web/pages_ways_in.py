"""The ways in and out: signing in, signing out, asking for and redeeming a reset of the password.

Every form works without a script; whatever is wrong is told in the same words to everybody.

Spec: lines 3-6, 137, 215.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from bennu.audit.events import EventName
from bennu.auth.local.flow import LocalSignIn
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions
from bennu.auth.sessions.routes import caller_or_stranger
from bennu.httpio.respond import status_of
from bennu.httpio.route import Door, Limit, Route
from bennu.kernel.errors import AppError
from bennu.kernel.secret import Secret
from bennu.web.pages import Pages, own_page_or_home, problems_of


@dataclass(frozen=True, slots=True)
class WaysIn:
    """The flows behind these pages.

    Args:
        local: signing in with a password, None when that is switched off.
        sessions: for signing out.
        cookies: of the session.
    """

    local: LocalSignIn | None
    sessions: Sessions
    cookies: SessionCookies


class _WaysInPages:
    def __init__(self, pages: Pages, ways: WaysIn) -> None:
        self._pages, self._ways = pages, ways

    async def start(self, _: Request) -> Response:
        """Lead to the first page that is of use."""
        return self._pages.go("/projects")

    async def sign_in_form(self, request: Request) -> Response:
        """Show what one can sign in with."""
        return self._form(request)

    def _form(
        self, request: Request, status: int = 200, error: AppError | None = None, email: str = ""
    ) -> Response:
        return self._pages.show(
            request,
            "sign_in.html",
            status,
            has_local=self._ways.local is not None,
            email=email,
            return_url=request.query_params.get("returnUrl", ""),
            errors={} if error is None else problems_of(error),
        )

    async def sign_in(self, request: Request) -> Response:
        """Sign in with a password and lead to the page that was wanted."""
        form = await self._pages.form(request)
        email = form.text("email")
        if self._ways.local is None:
            return self._form(request, 403)
        try:
            pair = await self._ways.local.sign_in_with_password(
                caller_or_stranger(request), email, Secret(form.raw("password"))
            )
        except AppError as error:
            return self._form(request, status_of(error), error, email)
        answer = self._pages.lead(own_page_or_home(request.query_params.get("returnUrl", "/")))
        self._ways.cookies.set_on(answer, pair)
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session; anybody may, and without one nothing happens."""
        await self._pages.form(request)
        presented = request.cookies.get(self._ways.cookies.refresh_name, "")
        await self._ways.sessions.end_own_session(caller_or_stranger(request), presented)
        answer = self._pages.go("/logout")
        self._ways.cookies.delete_on(answer)
        return answer

    async def signed_out(self, request: Request) -> Response:
        """Say that one is signed out."""
        return self._pages.show(request, "signed_out.html")


def ways_in_routes(pages: Pages, ways: WaysIn) -> tuple[Route, ...]:
    """Return the routes of the ways in."""
    of = _WaysInPages(pages, ways)
    table = (
        Route(
            method="GET",
            path="/",
            handler=of.start,
            permission=Door.SIGNED_IN,
            summary="The start page",
        ),
        Route(
            method="GET",
            path="/login",
            handler=of.sign_in_form,
            permission=Door.OPEN,
            summary="The page for signing in",
        ),
        Route(
            method="POST",
            path="/login",
            handler=of.sign_in,
            permission=Door.OPEN,
            limit=Limit.SIGN_IN,
            summary="Sign in by the form of the page",
            events=(EventName.SIGN_IN_SUCCEEDED, EventName.SIGN_IN_FAILED),
            before_password_change=True,
        ),
        Route(
            method="GET",
            path="/logout",
            handler=of.signed_out,
            permission=Door.OPEN,
            summary="The page after signing out",
        ),
        Route(
            method="POST",
            path="/logout",
            handler=of.sign_out,
            permission=Door.OPEN,
            summary="Sign out by the form of the page",
            events=(EventName.SIGN_OUT,),
            before_password_change=True,
        ),
    )
    return tuple(pages.as_page(route) for route in table)
