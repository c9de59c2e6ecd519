"""``POST /auth/login``.

Spec: line 3.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.audit.events import EventName
from bennu.auth.local.flow import LocalSignIn
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.routes import caller_or_stranger
from bennu.httpio.request import json_of
from bennu.httpio.respond import empty_answer
from bennu.httpio.route import Door, Limit, Route
from bennu.kernel.errors import DeniedError
from bennu.kernel.secret import Secret


class SignInBody(msgspec.Struct):
    """Body of ``POST /auth/login``."""

    email: str = ""
    password: str = ""


def local_routes(
    local: LocalSignIn, cookies: SessionCookies, *, is_enabled: bool
) -> tuple[Route, ...]:
    """Return the route of signing in with a password."""

    async def sign_in(request: Request) -> Response:
        if not is_enabled:
            raise DeniedError("Forbidden", detail="basic authentication is disabled")
        body = await json_of(request, SignInBody)
        pair = await local.sign_in_with_password(
            caller_or_stranger(request), body.email, Secret(body.password)
        )
        answer = empty_answer()
        cookies.set_on(answer, pair)
        return answer

    return (
        Route(
            method="POST",
            path="/auth/login",
            handler=sign_in,
            permission=Door.OPEN,
            limit=Limit.SIGN_IN,
            summary="Sign in with e-mail and password; answers with cookies",
            request=SignInBody,
            status=204,
            events=(EventName.SIGN_IN_SUCCEEDED, EventName.SIGN_IN_FAILED),
            before_password_change=True,
            errors=(401, 403),
        ),
    )
