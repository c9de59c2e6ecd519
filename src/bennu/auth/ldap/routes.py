"""``POST /auth/ldap/login``.

Spec: lines 5, 24.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.audit.events import EventName
from bennu.auth.ldap.flow import LdapSignIn
from bennu.auth.sessions.cookies import SessionCookies
from bennu.auth.sessions.routes import caller_or_stranger
from bennu.httpio.request import json_of
from bennu.httpio.respond import empty_answer
from bennu.httpio.route import Door, Limit, Route
from bennu.kernel.secret import Secret


class LdapSignInBody(msgspec.Struct):
    """Body of ``POST /auth/ldap/login``."""

    username: str = ""
    password: str = ""


def ldap_routes(sign_in_flow: LdapSignIn, cookies: SessionCookies) -> tuple[Route, ...]:
    """Return the route of signing in through the directory."""

    async def sign_in(request: Request) -> Response:
        body = await json_of(request, LdapSignInBody)
        pair = await sign_in_flow.sign_in_with_directory(
            caller_or_stranger(request), body.username, Secret(body.password)
        )
        answer = empty_answer()
        cookies.set_on(answer, pair)
        return answer

    return (
        Route(
            method="POST",
            path="/auth/ldap/login",
            handler=sign_in,
            permission=Door.OPEN,
            limit=Limit.SIGN_IN,
            summary="Sign in with the name and the password of the directory",
            request=LdapSignInBody,
            status=204,
            events=(
                EventName.SIGN_IN_SUCCEEDED,
                EventName.SESSION_ENDED,
                EventName.SIGN_IN_FAILED,
                EventName.USER_CREATED,
                EventName.USER_CHANGED,
                EventName.ROLE_ASSIGNED,
            ),
            before_password_change=True,
            errors=(401, 503),
        ),
    )
