"""``/oauth2/{provider}/login``, ``/tokens`` and ``/backchannel-logout``.

Spec: lines 91-133. Contract: sections 2 and 7.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bennu.audit.events import EventName
from bennu.auth.oauth2.configured import ConfiguredProviders
from bennu.auth.oauth2.flow import Answer, ProviderSignIn, SignInRefusedError
from bennu.auth.oauth2.handshake import COOKIE_PREFIX, LIFETIME, MOST_UNDER_WAY, cookie_name
from bennu.auth.oauth2.logout import ProviderSignOut
from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.flow import ProviderSession
from bennu.auth.sessions.routes import NextAddress, caller_or_stranger
from bennu.auth.settings import AuthSettings
from bennu.httpio.dispatch import public_address
from bennu.httpio.request import body_within, path_value
from bennu.httpio.respond import empty_answer
from bennu.httpio.route import Door, Limit, Query, Route
from bennu.kernel.errors import FieldProblem, MalformedError, SchemaError

_LOGOUT_BODY_BYTES: Final = 131_072
_FORM: Final = "application/x-www-form-urlencoded"
_LONGEST_PARAMETER: Final = 8192
_COOKIE_SUFFIX: Final = re.compile(r"[0-9a-f]{12}")
#: What may stand in the path of a cookie; other names are those of no provider.
_PROVIDER_NAME: Final = re.compile(r"[a-z0-9_]{1,128}")


class _Handlers:
    """Decode, call the flow, encode."""

    def __init__(
        self, sign_in: ProviderSignIn, sign_out: ProviderSignOut, settings: AuthSettings
    ) -> None:
        self._sign_in, self._sign_out = sign_in, sign_out
        self._cookies = SessionCookies(settings)
        self._prefix = "__Host-" if settings.cookie_prefix == "host" else ""
        self._secure = settings.secure_cookies or bool(self._prefix)
        self._error_page = "/logout" if settings.basic_auth_disabled else "/login"

    async def begin(self, request: Request) -> Response:
        provider = path_value(request, "provider")
        callback = f"{public_address(request)}/oauth2/{provider}/tokens"
        return_url = request.query_params.get("returnUrl", "")
        try:
            beginning = await self._sign_in.begin_sign_in(
                caller_or_stranger(request), provider, return_url, callback
            )
        except SignInRefusedError as error:
            return self._refused(request, error)
        answer = RedirectResponse(beginning.address, _see_other(request, HTTPStatus.FOUND))
        under_way = [name for name in request.cookies if self._is_ours(name)]
        for name in under_way if len(under_way) >= MOST_UNDER_WAY else ():
            self._delete(answer, request, name)
        answer.set_cookie(
            self._prefix + beginning.cookie_name,
            beginning.cookie_value,
            max_age=int(LIFETIME.total_seconds()),
            path=self._path(request),
            secure=self._secure,
            httponly=True,
            # The answer comes from another site, by a link that the browser follows.
            samesite="lax",
        )
        return answer

    async def finish(self, request: Request) -> Response:
        given = {
            name: request.query_params.get(name, "")[:_LONGEST_PARAMETER]
            for name in ("state", "code", "iss", "error")
        }
        missing = [n for n in ("state", "code") if not given[n] and not given["error"]]
        if missing:
            problems = (FieldProblem(("query", n), "Field required", "missing") for n in missing)
            raise SchemaError(*problems)
        name = self._prefix + cookie_name(given["state"])
        answer_given = Answer(given["state"], given["code"], given["iss"], given["error"])
        try:
            signed_in = await self._sign_in.finish_sign_in(
                caller_or_stranger(request),
                path_value(request, "provider"),
                answer_given,
                request.cookies.get(name, ""),
            )
        except SignInRefusedError as error:
            refused = self._refused(request, error)
            self._delete(refused, request, name)
            return refused
        base_path = urlsplit(public_address(request)).path
        answer = RedirectResponse(base_path + signed_in.return_to, HTTPStatus.FOUND)
        self._delete(answer, request, name)
        self._cookies.set_on(answer, signed_in.pair)
        return answer

    async def end_by_provider(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise MalformedError(f"The body must be {_FORM}")
        body = await body_within(request, _LOGOUT_BODY_BYTES)
        tokens = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10).get("logout_token")
        if tokens is None or len(tokens) != 1:
            raise MalformedError("The body must hold logout_token, once")
        await self._sign_out.end_by_provider(
            caller_or_stranger(request), path_value(request, "provider"), tokens[0]
        )
        answer = empty_answer(HTTPStatus.OK)
        answer.headers["cache-control"] = "no-store"  # Back-Channel Logout 1.0 section 2.8
        return answer

    def _is_ours(self, name: str) -> bool:
        own = self._prefix + COOKIE_PREFIX
        return name.startswith(own) and _COOKIE_SUFFIX.fullmatch(name[len(own) :]) is not None

    def _path(self, request: Request) -> str:
        """Return the path of the cookie: only the routes of this provider, where that may be."""
        if self._prefix:
            return "/"
        provider = path_value(request, "provider")
        own = f"/{provider}" if _PROVIDER_NAME.fullmatch(provider) else ""
        return f"{urlsplit(public_address(request)).path}/oauth2{own}"

    def _delete(self, answer: Response, request: Request, name: str) -> None:
        path = self._path(request)
        answer.delete_cookie(name, path, secure=self._secure, httponly=True, samesite="lax")

    def _refused(self, request: Request, error: SignInRefusedError) -> Response:
        """Lead to the page that says what happened, by a code and never by a text."""
        request.scope["bennu.error"] = error
        base_path = urlsplit(public_address(request)).path
        address = f"{base_path}{self._error_page}?{urlencode({'error': error.page_code})}"
        return RedirectResponse(address, _see_other(request, HTTPStatus.TEMPORARY_REDIRECT))


def _see_other(request: Request, status: int) -> int:
    """After a POST the browser goes on with GET, and does not post again elsewhere."""
    return HTTPStatus.SEE_OTHER if request.method == "POST" else status


def next_after_sign_out(
    sign_out: ProviderSignOut,
    providers: ConfiguredProviders,
    own_page: Callable[[tuple[ProviderSettings, ...]], str],
) -> NextAddress:
    """Return the rule by which browsers go on after signing out here.

    Args:
        sign_out: knows whether the provider offers signing out there too.
        providers: those in use.
        own_page: the path of our page for afterwards, given the providers; its address is
            registered at the provider.
    """

    async def next_address(request: Request, ended: ProviderSession | None) -> str:
        own = public_address(request) + own_page(await providers.all())
        at_provider = await sign_out.sign_out_address(ended, own)
        return at_provider or urlsplit(own).path

    return next_address


def oauth2_routes(
    sign_in: ProviderSignIn, sign_out: ProviderSignOut, settings: AuthSettings
) -> tuple[Route, ...]:
    """Return the routes of identity providers."""
    handlers = _Handlers(sign_in, sign_out, settings)
    return_url = Query("returnUrl", meaning="path of this site to go to afterwards")
    begins = tuple(
        Route(
            method=method,
            path="/oauth2/{provider}/login",
            handler=handlers.begin,
            permission=Door.OPEN,
            summary="Go to an identity provider to sign in",
            status=status,
            query=(return_url,),
            no_event="nobody is signed in yet; a refusal is recorded",
            before_password_change=True,
            errors=(HTTPStatus.TEMPORARY_REDIRECT,),
            tags=("oauth2",),
        )
        for method, status in (("GET", HTTPStatus.FOUND), ("POST", HTTPStatus.SEE_OTHER))
    )
    return (
        *begins,
        Route(
            method="GET",
            path="/oauth2/{provider}/tokens",
            handler=handlers.finish,
            permission=Door.OPEN,
            limit=Limit.SIGN_IN_CALLBACK,
            summary="Take the answer of an identity provider; answers with cookies",
            status=HTTPStatus.FOUND,
            query=tuple(Query(name) for name in ("state", "code", "iss", "error")),
            events=(
                EventName.SIGN_IN_SUCCEEDED,
                EventName.SIGN_IN_FAILED,
                EventName.USER_CREATED,
                EventName.USER_CHANGED,
                EventName.ROLE_ASSIGNED,
                EventName.SESSION_ENDED,
            ),
            before_password_change=True,
            errors=(HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.UNPROCESSABLE_ENTITY),
            tags=("oauth2",),
        ),
        Route(
            method="POST",
            path="/oauth2/{provider}/backchannel-logout",
            handler=handlers.end_by_provider,
            permission=Door.OPEN,
            summary="End sessions by order of their identity provider",
            events=(EventName.SESSION_ENDED,),
            before_password_change=True,
            errors=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
            tags=("oauth2",),
        ),
    )
