"""Refreshing and signing out over HTTP."""

from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request

from bennu.auth.sessions.flow import ProviderSession, TokenPair
from bennu.auth.sessions.routes import session_routes
from bennu.httpio.dispatch import application_of
from bennu.httpio.frame import RequestFrame
from bennu.kernel.ids import SystemEntropy, global_id
from bennu.storage.database import Database
from fakes.accounts import ADMIN_SECRET, SETTINGS, Accounts, started_accounts
from fakes.clock import FrozenClock

ACCESS, REFRESH = "phoenix-access-token", "phoenix-refresh-token"


def cookies_of(pair: TokenPair) -> dict[str, str]:
    return {ACCESS: pair.access.reveal(), REFRESH: pair.refresh.reveal()}


async def test_a_refresh_answers_with_new_cookies(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    async with accounts.client() as client:
        client.cookies.update(cookies_of(pair))
        answer = await client.post("/auth/refresh")
        assert (answer.status_code, answer.content) == (204, b"")
        assert set(answer.cookies) == {ACCESS, REFRESH}
        assert not await accounts.works(pair.access)
        client.cookies = answer.cookies
        assert (await client.get("/v1/user")).status_code == 200


@pytest.mark.parametrize(
    ("cookie", "text"),
    [
        ("", "Missing refresh token"),
        ("nonsense", "Invalid refresh token"),
        ("{access}", "Invalid refresh token"),
    ],
)
async def test_a_bad_refresh_is_refused(accounts: Accounts, cookie: str, text: str) -> None:
    pair = await accounts.open(await accounts.add_user())
    async with accounts.client() as client:
        if cookie:
            client.cookies.set(REFRESH, cookie.format(access=pair.access.reveal()))
        answer = await client.post("/auth/refresh")
    assert (answer.status_code, answer.text) == (401, text)
    assert answer.headers["www-authenticate"].startswith('Bearer realm="Arize Phoenix", ')


async def test_an_expired_refresh_says_so(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    accounts.clock.advance(accounts.settings.refresh_lifetime)
    async with accounts.client() as client:
        client.cookies.update(cookies_of(pair))
        answer = await client.post("/auth/refresh")
    assert (answer.status_code, answer.text) == (401, "Expired refresh token")


@pytest.mark.asvs("7.4.1")
@pytest.mark.parametrize("kept", [ACCESS, REFRESH])
async def test_signing_out_works_with_either_cookie(accounts: Accounts, kept: str) -> None:
    pair = await accounts.open(await accounts.add_user())
    async with accounts.client() as client:
        client.cookies.set(kept, cookies_of(pair)[kept])
        answer = await client.post("/auth/logout")
        assert answer.status_code == 204
        deleted = answer.headers.get_list("set-cookie")
        assert [c.partition("=")[0] for c in deleted] == [ACCESS, REFRESH]
        assert all("Max-Age=0" in c for c in deleted)
    assert not await accounts.works(pair.access)
    assert await accounts.events() == ["auth.sign_out"]


async def test_signing_out_without_a_session_changes_nothing(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())
    async with accounts.client() as client:
        for cookie in ("", "nonsense"):
            client.cookies.set(REFRESH, cookie)
            assert (await client.post("/auth/logout")).status_code == 204
    assert await accounts.works(pair.access)
    assert await accounts.events() == []


@pytest.mark.asvs("3.5.3")
@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 302), ("none", 302), ("same-site", 403), ("cross-site", 403), ("", 403)],
)
async def test_a_link_signs_out_only_from_our_own_pages(
    accounts: Accounts, site: str, status: int
) -> None:
    pair = await accounts.open(await accounts.add_user())
    async with accounts.client() as client:
        client.cookies.update(cookies_of(pair))
        headers = {"sec-fetch-site": site} if site else {}
        answer = await client.get("/auth/logout", headers=headers)
    assert answer.status_code == status
    assert await accounts.works(pair.access) is (status == 403)
    if status == 302:
        assert answer.headers["location"] == "/login"


async def test_sessions_over_http(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    identifier = global_id("User", ada.row_id)
    token, other = (await accounts.open(ada)).access, (await accounts.open(ada)).access
    async with accounts.client(token) as client:
        listed = (await client.get("/v1/user/sessions")).json()["data"]
        assert [s["current"] for s in listed] == [False, True]
        assert {"address", "user_agent", "created_at", "last_used_at", "expires_at"} < set(
            listed[0]
        )
        gone = await client.delete(f"/v1/user/sessions/{listed[0]['id']}")
        assert (gone.status_code, gone.headers.get("set-cookie")) == (204, None)
        assert not await accounts.works(other)
        assert (await client.delete("/v1/user/sessions?keep_current=maybe")).status_code == 422
        kept = await client.delete("/v1/user/sessions?keep_current=true")
        assert (kept.status_code, kept.headers.get("set-cookie")) == (204, None)
        ended = await client.delete("/v1/user/sessions")
        assert (ended.status_code, len(ended.headers.get_list("set-cookie"))) == (204, 2)
    assert not await accounts.works(token)
    token = (await accounts.open(ada)).access
    async with accounts.client(ADMIN_SECRET) as client:
        (session,) = (await client.get(f"/v1/users/{identifier}/sessions")).json()["data"]
        assert (session["current"], session["auth_methods"]) == (False, ["password"])
        assert (await client.delete(f"/v1/users/{identifier}/sessions")).status_code == 204
        assert (await client.get("/v1/users/nonsense/sessions")).status_code == 422
    assert not await accounts.works(token)


async def test_a_link_leads_where_people_sign_in(accounts: Accounts) -> None:
    async def signed_out(_: Request, ended: ProviderSession | None) -> str:
        assert ended is None
        return "/root/logout"

    routes = session_routes(accounts.sessions, accounts.cookies, signed_out)
    app = RequestFrame(application_of(routes), accounts.clock, SystemEntropy())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bennu.test") as client:
        answer = await client.get("/auth/logout", headers={"sec-fetch-site": "none"})
    assert (answer.status_code, answer.headers["location"]) == (302, "/root/logout")


@pytest.mark.asvs("3.3.3")
async def test_with_the_host_prefix_only_cookies_of_that_name_count(
    database: Database, clock: FrozenClock
) -> None:
    settings = replace(SETTINGS, cookie_prefix="host", secure_cookies=True)
    accounts = await started_accounts(database, clock, settings)
    pair = await accounts.open(await accounts.add_user())
    values = cookies_of(pair)
    async with accounts.client() as client:
        client.cookies.update(values)
        assert (await client.get("/v1/user")).status_code == 401
        assert (await client.post("/auth/refresh")).text == "Missing refresh token"
        client.cookies.clear()
        client.cookies.update({f"__Host-{name}": value for name, value in values.items()})
        assert (await client.get("/v1/user")).status_code == 200
        answer = await client.post("/auth/refresh")
        assert {c.partition("=")[0] for c in answer.headers.get_list("set-cookie")} == {
            f"__Host-{ACCESS}",
            f"__Host-{REFRESH}",
        }
