"""Signing in with a password and resetting it, over HTTP."""

import httpx
import pytest

from bennu.auth.gates import HttpGate
from bennu.auth.local.routes import local_routes
from bennu.httpio.dispatch import application_of
from bennu.httpio.frame import RequestFrame
from bennu.kernel.ids import SystemEntropy
from fakes.accounts import PASSWORD, STRANGER, Accounts

BODY = {"email": "ada@example.com", "password": PASSWORD.reveal()}


@pytest.mark.asvs("3.3.4")
async def test_a_sign_in_answers_with_cookies_and_nothing_else(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    async with accounts.client() as client:
        answer = await client.post("/auth/login", json=BODY)
        assert (answer.status_code, answer.content) == (204, b"")
        assert set(answer.cookies) == {"phoenix-access-token", "phoenix-refresh-token"}
        assert (await client.get("/v1/user")).json()["data"]["username"] == "ada"


async def test_a_failure_is_a_text_and_sets_no_cookie(accounts: Accounts) -> None:
    async with accounts.client() as client:
        answer = await client.post("/auth/login", json=BODY)
    assert (answer.status_code, answer.text) == (401, "Invalid email and/or password")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "set-cookie" not in answer.headers
    assert "resource_metadata=" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"email=a&password=b", 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b'{"email": 1, "password": "x"}', 422),
        (b'{"email": null, "password": "x"}', 422),
        (b'{"email": "a\\u0000@b.c", "password": "x"}', 422),
        (b"{}", 401),
        (b'{"email": "a@b.c"}', 401),
    ],
)
async def test_a_broken_body_is_the_clients_mistake(
    accounts: Accounts, content: bytes, status: int
) -> None:
    async with accounts.client() as client:
        assert (await client.post("/auth/login", content=content)).status_code == status


async def test_a_stale_credential_does_not_keep_anybody_from_signing_in(
    accounts: Accounts,
) -> None:
    await accounts.add_user(password=PASSWORD)
    async with accounts.client(authorization="Bearer nonsense") as client:
        assert (await client.post("/auth/login", json=BODY)).status_code == 204


PATHS = ("/auth/login", "/auth/password-reset-email", "/auth/password-reset")


async def test_all_of_it_can_be_closed(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    routes = local_routes(accounts.local, accounts.reset, accounts.cookies, is_enabled=False)
    gate = HttpGate(application_of(routes), accounts.authenticator, "phoenix-access-token")
    app = RequestFrame(gate, accounts.clock, SystemEntropy())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bennu.test") as client:
        for path in PATHS:
            answer = await client.post(path, json=BODY)
            assert (answer.status_code, answer.text) == (403, "Forbidden")


async def test_it_is_limited_and_open_to_those_who_must_change_their_password(
    accounts: Accounts,
) -> None:
    routes = local_routes(accounts.local, accounts.reset, accounts.cookies, is_enabled=True)
    limits = {route.path: str(route.limit) for route in routes}
    classes = ("sign_in", "password_reset", "password_reset_use")
    assert limits == dict(zip(PATHS, classes, strict=True))
    for route in routes:
        assert route.before_password_change
        assert str(route.permission) == "open"


async def test_the_answer_to_a_forgotten_password_is_the_same_for_any_address(
    accounts: Accounts,
) -> None:
    await accounts.add_user(password=PASSWORD)
    async with accounts.client() as client:
        for email in ("ada@example.com", "nobody@example.com", "x", "\u00e4@\u00e4"):
            answer = await client.post("/auth/password-reset-email", json={"email": email})
            assert (answer.status_code, answer.content) == (204, b"")
        for body, status, text in (
            ({}, 422, "Email required"),
            ({"email": ""}, 422, "Email required"),
        ):
            answer = await client.post("/auth/password-reset-email", json=body)
            assert (answer.status_code, answer.text) == (status, text)
        accounts.mail_server = None
        answer = await client.post("/auth/password-reset-email", json={"email": "x"})
    assert (answer.status_code, answer.text) == (503, "SMTP server not configured")


async def test_a_reset_answers_as_the_contract_says(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    await accounts.reset.request_reset(STRANGER, "ada@example.com")
    (mail,) = await accounts.sent_mails()
    token = mail.text.partition("?token=")[2].split()[0]
    async with accounts.client() as client:
        for body, status, text in (
            ({"token": token}, 422, "Password required"),
            ({"token": "x", "password": "quite another battery"}, 401, "Invalid token"),
            ({"password": "quite another battery"}, 401, "Invalid token"),
        ):
            answer = await client.post("/auth/password-reset", json=body)
            assert (answer.status_code, answer.text) == (status, text)
        weak = await client.post("/auth/password-reset", json={"token": token, "password": "x"})
        assert weak.status_code == 422
        assert weak.json()["detail"][0]["loc"] == ["body", "password"]
        good = {"token": token, "password": "quite another battery"}
        done = await client.post("/auth/password-reset", json=good)
        assert (done.status_code, done.content) == (204, b"")
        assert len(done.headers.get_list("set-cookie")) == 2
