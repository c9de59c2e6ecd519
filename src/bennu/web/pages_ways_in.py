"""The ways in and out: signing in by password, directory or provider, and signing out.

Every form works without a script; whatever is wrong is told in the same words to everybody.

Spec: lines 1-7, 97-99, 137.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.audit.events import EventName
from bennu.auth.ldap.flow import LdapSignIn
from bennu.auth.local.flow import LocalSignIn
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.return_address import HOME, safe_return_path
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import Sessions, TokenPair
from bennu.auth.sessions.routes import NextAddress, caller_or_stranger
from bennu.auth.ways_in import RETURN_URL, ways_in
from bennu.httpio.respond import status_of
from bennu.httpio.route import Door, Limit, Route
from bennu.kernel.errors import AppError, DeniedError
from bennu.kernel.secret import Secret
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of

_DIRECTORY: Final = "ldap"
#: What the page says for the codes that sign-in through a provider ends with. Contract, section 2.
PROVIDER_ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unknown_idp": "This way of signing in is not configured.",
        "auth_failed": "Signing in did not work. Try again, or ask whoever runs this server.",
        "invalid_state": "This sign-in took too long or was begun in another browser. Try again.",
        "unsafe_return_url": "The page to go to after signing in is not one of this server.",
        "email_in_use": "There is an account with that e-mail already that signs in another way.",
        "sign_in_not_allowed": "Your account may not sign in here. Ask whoever runs this server.",
        "missing_email_scope": "The identity provider did not tell an e-mail address.",
        "no_oidc_support": "The identity provider does not answer as OpenID Connect demands.",
    }
)
_OTHER_ERROR: Final = "Signing in did not work. Try again."


@dataclass(frozen=True, slots=True)
class WaysIn:
    """The flows behind these pages.

    Args:
        local: signing in with a password kept here, None when that is switched off.
        directory: signing in through LDAP, None when none is configured.
        providers: the identity providers in use.
        has_mail: whether forgotten passwords can be reset by mail.
        sessions: for signing out.
        cookies: of the session.
        next_address: where a browser goes after signing out.
    """

    local: LocalSignIn | None
    directory: LdapSignIn | None
    providers: Callable[[], Awaitable[tuple[ProviderSettings, ...]]]
    has_mail: Callable[[], Awaitable[bool]]
    sessions: Sessions
    cookies: SessionCookies
    next_address: NextAddress


class _WaysInPages:
    def __init__(self, pages: Pages, ways: WaysIn) -> None:
        self._pages, self._ways = pages, ways

    async def start(self, _: Request) -> Response:
        """Lead to the first page that is of use."""
        return self._pages.go("/projects")

    async def sign_in_form(self, request: Request) -> Response:
        """Show what one can sign in with, or lead on where there is only one way."""
        return await self._form(request)

    async def _form(
        self,
        request: Request,
        status: int = 200,
        error: AppError | None = None,
        sent: Form | None = None,
    ) -> Response:
        offered = ways_in(
            await self._ways.providers(),
            request.query_params,
            has_password=self._ways.local is not None,
            has_directory=self._ways.directory is not None,
        )
        if offered.redirect_to is not None and error is None and sent is None:
            return self._pages.lead(offered.redirect_to)
        code = request.query_params.get("error", "")
        return self._pages.show(
            request,
            "sign_in.html",
            status,
            offered=offered,
            has_reset=self._ways.local is not None and await self._ways.has_mail(),
            provider_error=PROVIDER_ERRORS.get(code, _OTHER_ERROR) if code else "",
            return_url=request.query_params.get(RETURN_URL, ""),
            is_directory=sent is not None and sent.text("method") == _DIRECTORY,
            email="" if sent is None else sent.text("email"),
            username="" if sent is None else sent.text("username"),
            errors={} if error is None else problems_of(error),
        )

    async def sign_in(self, request: Request) -> Response:
        """Sign in with a password and lead to the page that was wanted."""
        form = await self._pages.form(request)
        try:
            pair = await self._proved(request, form)
        except AppError as error:
            answer = await self._form(request, status_of(error), error, form)
            if error.retry_after_seconds is not None:
                answer.headers["retry-after"] = str(max(1, round(error.retry_after_seconds)))
            return answer
        wanted = request.query_params.get(RETURN_URL, "")
        answer = self._pages.lead(safe_return_path(wanted) or HOME)
        self._ways.cookies.set_on(answer, pair)
        return answer

    async def _proved(self, request: Request, form: Form) -> TokenPair:
        caller, password = caller_or_stranger(request), Secret(form.raw("password"))
        ways = self._ways
        if form.text("method") == _DIRECTORY and ways.directory is not None:
            name = form.text("username")
            return await ways.directory.sign_in_with_directory(caller, name, password)
        if ways.local is None:
            raise DeniedError("Signing in with a password is switched off here")
        return await ways.local.sign_in_with_password(caller, form.text("email"), password)

    async def sign_out(self, request: Request) -> Response:
        """End the session, here and at the provider that opened it."""
        await self._pages.form(request)
        presented = request.cookies.get(self._ways.cookies.refresh_name, "")
        ended = await self._ways.sessions.end_own_session(caller_or_stranger(request), presented)
        address = await self._ways.next_address(request, ended)
        if "://" in address:
            # A redirect after a form is held against form-action; a page that goes on is not.
            answer = self._pages.show(
                request, "signed_out.html", provider_address=address, provider_error=""
            )
        else:
            answer = self._pages.go("/logout")
        self._ways.cookies.delete_on(answer)
        return answer

    async def signed_out(self, request: Request) -> Response:
        """Say that one is signed out, or what went wrong at a provider."""
        code = request.query_params.get("error", "")
        return self._pages.show(
            request,
            "signed_out.html",
            provider_address="",
            provider_error=PROVIDER_ERRORS.get(code, _OTHER_ERROR) if code else "",
        )


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
            events=(
                EventName.SIGN_IN_SUCCEEDED,
                EventName.SIGN_IN_FAILED,
                EventName.SESSION_ENDED,
            ),
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
