"""Signing in with a password, and resetting a forgotten one.

Spec: lines 4, 213-214.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.audit.events import EventName
from bennu.auth.local.flow import LocalSignIn
from bennu.auth.local.reset import PasswordReset
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.routes import caller_or_stranger
from bennu.httpio.request import json_of
from bennu.httpio.respond import empty_answer
from bennu.httpio.route import Door, Handler, Limit, Route
from bennu.kernel.errors import DeniedError
from bennu.kernel.secret import Secret


class SignInBody(msgspec.Struct):
    """Body of ``POST /auth/login``."""

    email: str = ""
    password: str = ""


class RequestResetBody(msgspec.Struct):
    """Body of ``POST /auth/password-reset-email``."""

    email: str = ""


class ResetBody(msgspec.Struct):
    """Body of ``POST /auth/password-reset``."""

    token: str = ""
    password: str = ""


def local_routes(
    local: LocalSignIn, reset: PasswordReset, cookies: SessionCookies, *, is_enabled: bool
) -> tuple[Route, ...]:
    """Return the routes of passwords; all are 403 where signing in by password is closed."""

    def refuse_if_closed() -> None:
        if not is_enabled:
            raise DeniedError("Forbidden", detail="basic authentication is disabled")

    async def sign_in(request: Request) -> Response:
        refuse_if_closed()
        body = await json_of(request, SignInBody)
        pair = await local.sign_in_with_password(
            caller_or_stranger(request), body.email, Secret(body.password)
        )
        answer = empty_answer()
        cookies.set_on(answer, pair)
        return answer

    async def request_reset(request: Request) -> Response:
        refuse_if_closed()
        body = await json_of(request, RequestResetBody)
        await reset.request_reset(caller_or_stranger(request), body.email)
        return empty_answer()

    async def set_password(request: Request) -> Response:
        refuse_if_closed()
        body = await json_of(request, ResetBody)
        await reset.reset_password(caller_or_stranger(request), body.token, Secret(body.password))
        answer = empty_answer()
        cookies.delete_on(answer)
        return answer

    return (_sign_in_route(sign_in), *_reset_routes(request_reset, set_password))


def _sign_in_route(sign_in: Handler) -> Route:
    return Route(
        method="POST",
        path="/auth/login",
        handler=sign_in,
        permission=Door.OPEN,
        limit=Limit.SIGN_IN,
        summary="Sign in with e-mail and password; answers with cookies",
        request=SignInBody,
        status=204,
        events=(
            EventName.SIGN_IN_SUCCEEDED,
            EventName.SIGN_IN_FAILED,
            EventName.SESSION_ENDED,
        ),
        before_password_change=True,
        errors=(401, 403),
    )


def _reset_routes(request_reset: Handler, set_password: Handler) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/auth/password-reset-email",
            handler=request_reset,
            permission=Door.OPEN,
            limit=Limit.PASSWORD_RESET,
            summary="Have a link sent that resets a password; the same answer for any address",
            request=RequestResetBody,
            status=204,
            events=(EventName.PASSWORD_RESET_REQUESTED,),
            before_password_change=True,
            errors=(403, 422, 503),
        ),
        Route(
            method="POST",
            path="/auth/password-reset",
            handler=set_password,
            permission=Door.OPEN,
            limit=Limit.PASSWORD_RESET_USE,
            summary="Set a new password with the token of a mailed link; ends all sessions",
            request=ResetBody,
            status=204,
            events=(EventName.PASSWORD_RESET,),
            before_password_change=True,
            errors=(401, 403, 422),
        ),
    )
