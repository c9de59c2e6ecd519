"""Permission first, then the handler; the table is the only way in."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import (
    BUILT_IN_ROLES,
    EVERYBODY,
    VIEWER,
    Caller,
    Permission,
    Principal,
    PrincipalKind,
)
from bennu.httpio.dispatch import ACCOUNTS_NEED_AUTHENTICATION, application_of
from bennu.httpio.request import CALLER, REFUSAL
from bennu.httpio.respond import text_answer
from bennu.httpio.route import Door, Route
from bennu.kernel.errors import UnauthenticatedError

NOBODY = Principal(PrincipalKind.ANONYMOUS)
KEY = Principal(PrincipalKind.USER_KEY, permissions=frozenset(Permission), user_id=1)
VIEWING = Principal(PrincipalKind.USER, role=VIEWER, permissions=BUILT_IN_ROLES[VIEWER])


def route(permission: Any, path: str = "/v1/x", method: str = "GET", **more: Any) -> Route:
    async def handler(_: Request) -> Response:
        return text_answer(path)

    return Route(
        method=method, path=path, handler=handler, permission=permission, summary="s", **more
    )


async def ask(
    routes: list[Route], principal: Principal, path: str = "/v1/x", **more: Any
) -> httpx.Response:
    inner = application_of(routes)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope[CALLER] = Caller(principal)
        scope.update(more)
        await inner(scope, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://bennu.test"
    ) as client:
        return await client.get(path)


def test_a_route_without_a_permission_does_not_start() -> None:
    with pytest.raises(TypeError, match="declares no permission"):
        route(None)


def test_a_route_stands_once_in_the_table() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        application_of([route(Door.OPEN), route(Door.OPEN)])


@pytest.mark.parametrize(
    ("permission", "principal", "status"),
    [
        (Door.OPEN, NOBODY, 200),
        (Door.SIGNED_IN, NOBODY, 401),
        (Permission.TRACES_READ, NOBODY, 401),
        (Permission.TRACES_READ, VIEWING, 200),
        (Permission.USERS_READ, VIEWING, 403),
        (Door.SIGNED_IN, VIEWING, 200),
        (Door.PERSON, VIEWING, 403),
        (Door.SIGNED_IN, EVERYBODY, 200),
        (Permission.USERS_READ, EVERYBODY, 200),
        (Door.ACCOUNT, EVERYBODY, 403),
        (Door.PERSON, EVERYBODY, 403),
    ],
)
async def test_the_declared_permission_decides(
    permission: Permission | Door, principal: Principal, status: int
) -> None:
    assert (await ask([route(permission)], principal)).status_code == status


@pytest.mark.parametrize(
    ("permission", "principal", "text"),
    [
        (Permission.USERS_READ, KEY, "not with keys"),
        (Door.ACCOUNT, KEY, "not with keys"),
        (Door.PERSON, KEY, "not with keys"),
        (Permission.USERS_READ, EVERYBODY, ACCOUNTS_NEED_AUTHENTICATION),
        (Permission.USERS_READ, replace(KEY, kind=PrincipalKind.ADMIN_SECRET), "/v1/x"),
        (Door.PERSON, replace(KEY, kind=PrincipalKind.ADMIN_SECRET), "not with keys"),
        (Door.ACCOUNT, replace(KEY, kind=PrincipalKind.USER, session_id=1), "/v1/x"),
    ],
)
async def test_a_route_can_refuse_keys_whatever_they_may_do(
    permission: Permission | Door, principal: Principal, text: str
) -> None:
    answer = await ask([route(permission, refuses_keys="not with keys")], principal)
    assert (answer.status_code, answer.text) == (200 if text == "/v1/x" else 403, text)


async def test_a_refused_credential_is_refused_even_for_the_permitted() -> None:
    refusal = {REFUSAL: UnauthenticatedError("Expired token")}
    answer = await ask([route(Door.SIGNED_IN)], EVERYBODY, **refusal)
    assert (answer.status_code, answer.text) == (401, "Expired token")
    assert "resource_metadata" in answer.headers["www-authenticate"]


async def test_every_v1_path_is_served_under_api_too_and_others_are_not() -> None:
    routes = [route(Door.OPEN), route(Door.OPEN, "/other")]
    assert (await ask(routes, NOBODY, "/api/v1/x")).status_code == 200
    assert (await ask(routes, NOBODY, "/api/other")).status_code == 404
    assert (await ask(routes, NOBODY, "/v1/x/")).status_code == 404


async def test_what_is_in_no_table_may_be_told_in_another_form() -> None:
    def stray(request: Request, status: int) -> Response | None:
        return text_answer("a page", status) if "page" in request.url.path else None

    app = application_of([route(Door.OPEN, "/page", "POST")], None, stray)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://bennu.test"
    ) as client:
        answers = [await client.get(path) for path in ("/page", "/pages", "/other")]
    assert [(a.status_code, a.text) for a in answers] == [
        (405, "a page"),
        (404, "a page"),
        (404, "Not Found"),
    ]
    assert answers[0].headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/login", "/login%0A"),
        ("/v1/x", "/v1/x%0A"),
        ("/v1/x", "/api/v1/x%0A"),
        ("/v1/users/{user_id}/keys", "/v1/users/a/keys%0A"),
        ("/v1/sessions/{session:path}", "/v1/sessions/a/b%0A"),
    ],
)
async def test_a_line_break_behind_a_path_makes_it_another_path(path: str, asked: str) -> None:
    """The layers in front compare paths as a whole: what they do not see must not be served."""
    assert (await ask([route(Door.OPEN, path)], NOBODY, asked)).status_code == 404
    assert (await ask([route(Door.OPEN, path)], NOBODY, asked[:-3])).status_code == 200


async def test_a_fixed_word_goes_before_a_name() -> None:
    routes = [route(Door.OPEN, "/v1/users/{user_id}"), route(Door.OPEN, "/v1/users/api_keys")]
    assert (await ask(routes, NOBODY, "/v1/users/api_keys")).text == "/v1/users/api_keys"


@pytest.mark.asvs("2.3.1")
async def test_a_session_with_a_first_password_may_only_change_it() -> None:
    principal = Principal(
        PrincipalKind.USER, permissions=frozenset(Permission), must_change_password=True
    )
    routes = [route(Door.SIGNED_IN), route(Door.SIGNED_IN, "/v1/user", before_password_change=True)]
    assert (await ask(routes, principal)).status_code == 403
    assert (await ask(routes, principal, "/v1/user")).status_code == 200


async def test_a_wrong_method_says_which_are_right() -> None:
    answer = await ask([route(Door.OPEN, method="POST")], NOBODY)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
