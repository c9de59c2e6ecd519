"""Signing out there and being signed out from there.

Source: OpenID Connect RP-Initiated Logout 1.0, Back-Channel Logout 1.0.
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from fakes.accounts import Accounts
from fakes.clock import FrozenClock
from fakes.hostile_provider import HostileProvider, make_key
from fakes.http_peer import Reply
from fakes.provider_world import ROOT_URL, ProviderWorld, provider_settings

PATH = "/oauth2/corp/backchannel-logout"


async def signed_in(world: ProviderWorld, provider: HostileProvider) -> httpx.AsyncClient:
    browser = world.browser()
    assert (await world.sign_in_at(provider, browser)).status_code == 302
    return browser


async def is_in(browser: httpx.AsyncClient) -> bool:
    return (await browser.get("/v1/user")).status_code == 200


async def order(world: ProviderWorld, token: str, path: str = PATH) -> httpx.Response:
    async with world.browser() as server:
        return await server.post(path, data={"logout_token": token})


# --- there ---------------------------------------------------------------------------------


async def test_signing_out_by_a_link_leads_to_the_provider(
    world: ProviderWorld, provider: HostileProvider
) -> None:
    browser = await signed_in(world, provider)
    answer = await browser.get("/auth/logout", headers={"sec-fetch-site": "same-origin"})
    address = urlsplit(answer.headers["location"])
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert answer.headers["location"].startswith(f"{provider.issuer}/end?")
    assert asked["client_id"] == "bennu-client"
    assert asked["post_logout_redirect_uri"] == f"{ROOT_URL}/login"
    assert asked["id_token_hint"].count(".") == 2
    assert not await is_in(browser)
    assert (await world.records())[-1]["event"] == "auth.sign_out"


async def test_where_the_provider_offers_none_it_stays_here(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.metadata["end_session_endpoint"] = None
    browser = await signed_in(quick_world, provider)
    answer = await browser.get("/auth/logout", headers={"sec-fetch-site": "none"})
    assert answer.headers["location"] == "/login"


async def test_a_provider_that_is_down_keeps_nobody_in(
    quick_world: ProviderWorld, provider: HostileProvider, clock: FrozenClock
) -> None:
    browser = await signed_in(quick_world, provider)
    clock.advance(4000)
    refreshed = await browser.post("/auth/refresh")
    assert refreshed.status_code == 204
    provider.replies["/.well-known/openid-configuration"] = Reply(503)
    answer = await browser.get("/auth/logout", headers={"sec-fetch-site": "none"})
    assert answer.headers["location"] == "/login"
    assert not await is_in(browser)


async def test_a_token_too_long_for_an_address_is_left_out(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.claims["groups"] = ["group"] * 1000
    browser = await signed_in(quick_world, provider)
    answer = await browser.get("/auth/logout", headers={"sec-fetch-site": "none"})
    assert "id_token_hint" not in answer.headers["location"]
    assert len(answer.headers["location"]) < 1000


@pytest.mark.asvs("7.6.2")
async def test_after_signing_out_nobody_is_signed_in_again_at_once(
    quick_accounts: Accounts, provider: HostileProvider
) -> None:
    settings = provider_settings(provider.config_url, auto_login=True)
    world = ProviderWorld(quick_accounts, settings)
    browser = await signed_in(world, provider)
    answer = await browser.get("/auth/logout", headers={"sec-fetch-site": "none"})
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["post_logout_redirect_uri"] == [f"{ROOT_URL}/logout"]


# --- from there ----------------------------------------------------------------------------


@pytest.mark.asvs("7.6.1")
async def test_the_provider_ends_one_session_at_once(
    world: ProviderWorld, provider: HostileProvider
) -> None:
    first = await signed_in(world, provider)
    provider.claims["sid"] = "session-2"
    second = await signed_in(world, provider)
    answer = await order(world, provider.logout_token())
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert not await is_in(first)
    assert await is_in(second)
    assert (await first.post("/auth/refresh")).status_code == 401
    ended = (await world.records())[-1]
    assert (ended["event"], ended["reason"]) == ("auth.session.ended", "backchannel_logout")
    assert ended["after"]["provider"] == "corp"


@pytest.mark.asvs("7.6.1")
async def test_or_every_session_of_a_person(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    browsers = [await signed_in(quick_world, provider) for _ in range(2)]
    provider.claims = {"sub": "subject-2", "email": "b@corp.example"}
    other = await signed_in(quick_world, provider)
    assert (await order(quick_world, provider.logout_token(sid=None))).status_code == 200
    assert [await is_in(browser) for browser in browsers] == [False, False]
    assert await is_in(other)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nonce": "n"}, "nonce_in_logout_token"),
        ({"events": None}, "no_logout_event"),
        ({"aud": "other"}, "wrong_audience"),
        ({"iss": "https://other.example"}, "wrong_issuer"),
        ({"iat": 1000}, "expired"),
        ({"jti": None}, "incomplete_logout_token"),
    ],
)
async def test_an_order_that_is_not_as_it_must_be_ends_nothing(
    quick_world: ProviderWorld, provider: HostileProvider, changes: dict[str, Any], reason: str
) -> None:
    browser = await signed_in(quick_world, provider)
    answer = await order(quick_world, provider.logout_token(**changes))
    assert answer.status_code == 400
    assert await is_in(browser)
    last = (await quick_world.records())[-1]
    assert (last["event"], last["reason"]) == ("auth.denied", reason)


async def test_an_order_signed_by_somebody_else_ends_nothing(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    browser = await signed_in(quick_world, provider)
    provider.key = make_key("RS256", "first")
    assert (await order(quick_world, provider.logout_token())).status_code == 400
    provider.header = {"typ": "JWT"}
    assert (await order(quick_world, provider.logout_token())).status_code == 400
    assert await is_in(browser)


@pytest.mark.asvs("10.5.5")
async def test_an_order_works_once(world: ProviderWorld, provider: HostileProvider) -> None:
    token = provider.logout_token()
    assert (await order(world, token)).status_code == 200
    browser = await signed_in(world, provider)
    assert (await order(world, token)).status_code == 400
    assert await is_in(browser)
    assert (await world.records())[-1]["reason"] == "replayed_logout_token"


async def test_an_order_for_a_session_of_another_person_ends_nothing(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    browser = await signed_in(quick_world, provider)
    answer = await order(quick_world, provider.logout_token(sub="subject-2"))
    assert answer.status_code == 200
    assert await is_in(browser)


async def test_a_provider_ends_no_session_of_another(
    quick_accounts: Accounts, provider: HostileProvider, clock: FrozenClock
) -> None:
    with HostileProvider(clock) as evil:
        world = ProviderWorld(
            quick_accounts,
            provider_settings(provider.config_url),
            provider_settings(evil.config_url, "evil"),
        )
        browser = await signed_in(world, provider)
        answer = await order(world, evil.logout_token(), "/oauth2/evil/backchannel-logout")
        assert answer.status_code == 200
        assert (await order(world, evil.logout_token())).status_code == 400
        assert await is_in(browser)


async def test_an_order_to_nobody_or_without_a_token(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    token = provider.logout_token()
    unknown = await order(quick_world, token, "/oauth2/nobody/backchannel-logout")
    assert unknown.status_code == 404
    async with quick_world.browser() as server:
        for answer in (
            await server.post(PATH, data={"other": "x"}),
            await server.post(PATH, data={"logout_token": ["a", "b"]}),
            await server.post(PATH, json={"logout_token": token}),
            await server.post(PATH, content=b"\xff", headers={"content-type": "text/plain"}),
        ):
            assert answer.status_code == 400
        too_large = await server.post(PATH, data={"logout_token": "x" * 140_000})
        assert too_large.status_code == 413


async def test_keys_that_cannot_be_fetched_are_a_503(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    provider.replies["/jwks"] = Reply(500)
    assert (await order(quick_world, provider.logout_token())).status_code == 503
