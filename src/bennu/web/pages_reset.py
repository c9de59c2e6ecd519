"""Forgotten passwords: asking for a link by mail, and choosing a new password with it.

Spec: line 215. Source: OWASP Forgot Password.
"""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.audit.events import EventName
from bennu.auth.local.reset import PasswordReset
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.routes import caller_or_stranger
from bennu.auth.settings import AuthSettings
from bennu.httpio.respond import status_of
from bennu.httpio.route import Door, Limit, Route
from bennu.kernel.errors import AppError, FieldProblem, NotFoundError, SchemaError
from bennu.kernel.secret import Secret
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of

_REPEATED: Final = "repeated_password"


@dataclass(frozen=True, slots=True)
class ResetFlows:
    """The flow behind these pages; None where signing in by password is switched off."""

    reset: PasswordReset | None
    cookies: SessionCookies
    auth: AuthSettings


class _ResetPages:
    def __init__(self, pages: Pages, flows: ResetFlows) -> None:
        self._pages, self._flows = pages, flows

    def _reset(self) -> PasswordReset:
        if self._flows.reset is None:
            raise NotFoundError("Signing in with a password is switched off here")
        return self._flows.reset

    async def ask_form(self, request: Request) -> Response:
        """Ask for the address."""
        self._reset()
        return self._pages.show(request, "forgot_password.html", email="")

    async def ask(self, request: Request) -> Response:
        """Have a link sent; the same page whether there is such an account or not."""
        form = await self._pages.form(request)
        try:
            await self._reset().request_reset(caller_or_stranger(request), form.text("email"))
        except AppError as error:
            return self._pages.show(
                request,
                "forgot_password.html",
                status_of(error),
                email=form.text("email"),
                errors=problems_of(error),
            )
        return self._pages.go("/login", done="reset-sent")

    async def choose_form(self, request: Request) -> Response:
        """Ask for the new password."""
        self._reset()
        return self._choose(request, request.query_params.get("token", ""))

    def _choose(
        self, request: Request, token: str, status: int = 200, error: AppError | None = None
    ) -> Response:
        return self._pages.show(
            request,
            "reset_password.html",
            status,
            token=token,
            shortest=self._flows.auth.password_min_length,
            errors={} if error is None else problems_of(error),
        )

    async def choose(self, request: Request) -> Response:
        """Set the new password; the link is used up by it."""
        form = await self._pages.form(request)
        try:
            _refuse_different(form)
            await self._reset().reset_password(
                caller_or_stranger(request), form.text("token"), Secret(form.raw("password"))
            )
        except AppError as error:
            return self._choose(request, form.text("token"), status_of(error), error)
        answer = self._pages.go("/login", done="password-changed")
        self._flows.cookies.delete_on(answer)
        return answer


def _refuse_different(form: Form) -> None:
    if form.raw("password") != form.raw(_REPEATED):
        raise SchemaError(FieldProblem(("body", _REPEATED), "The two are not the same"))


def reset_page_routes(pages: Pages, flows: ResetFlows) -> tuple[Route, ...]:
    """Return the routes of forgotten passwords."""
    of = _ResetPages(pages, flows)
    table = (
        Route(
            method="GET",
            path="/forgot-password",
            handler=of.ask_form,
            permission=Door.OPEN,
            summary="The page for a forgotten password",
        ),
        Route(
            method="POST",
            path="/forgot-password",
            handler=of.ask,
            permission=Door.OPEN,
            limit=Limit.PASSWORD_RESET,
            summary="Have a link sent by the form of the page",
            status=303,
            events=(EventName.PASSWORD_RESET_REQUESTED,),
            before_password_change=True,
        ),
        Route(
            method="GET",
            path="/reset-password-with-token",
            handler=of.choose_form,
            permission=Door.OPEN,
            summary="The page for a new password, by a link from a mail",
        ),
        Route(
            method="POST",
            path="/reset-password-with-token",
            handler=of.choose,
            permission=Door.OPEN,
            limit=Limit.PASSWORD_RESET_USE,
            summary="Set a new password by the form of the page",
            status=303,
            events=(EventName.PASSWORD_RESET,),
            before_password_change=True,
        ),
    )
    return tuple(pages.as_page(route) for route in table)
