"""Refreshing and signing out over HTTP."""

import pytest

from bennu.auth.sessions.flow import TokenPair
from fakes.accounts import Accounts

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
