"""Addresses, cookies and statuses. Contract: section 2."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bennu.auth.settings import AuthSettings
from fakes.accounts import ADMIN_SECRET, started_accounts
from fakes.hostile_provider import HostileProvider
from fakes.provider_world import ProviderWorld, provider_settings


def cookie_of(answer: httpx.Response) -> str:
    (header,) = [h for h in answer.headers.get_list("set-cookie") if "oauth2-state" in h]
    return header


async def test_the_cookie_of_a_sign_in_goes_to_its_provider_only(
    quick_world: ProviderWorld,
) -> None:
    async with quick_world.browser() as browser:
        header = cookie_of(await browser.get("/oauth2/corp/login"))
    for part in ("HttpOnly", "SameSite=lax", "Path=/oauth2/corp", "Max-Age=900"):
        assert part in header


async def test_without_a_root_url_the_callback_is_where_the_client_connected_to(
    quick_world: ProviderWorld,
) -> None:
    for root_url, wanted in (
        (None, "https://bennu.test/oauth2/corp/tokens"),
        ("https://p.example/x", "https://p.example/x/oauth2/corp/tokens"),
    ):
        async with quick_world.browser(root_url) as browser:
            answer = await browser.get("/oauth2/corp/login")
        asked = parse_qs(urlsplit(answer.headers["location"]).query)
        assert asked["redirect_uri"] == [wanted]
        assert f"Path={urlsplit(wanted).path.removesuffix('/tokens')};" in cookie_of(answer)


async def test_below_a_path_everything_stays_below_it(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser("https://bennu.test/x") as browser:
        answer = await browser.get("/oauth2/corp/login", params={"returnUrl": "/projects"})
        jar = answer.headers["set-cookie"].partition(";")[0]
        parameters = provider.authorize(answer.headers["location"])
        done = await browser.get("/oauth2/corp/tokens", params=parameters, headers={"cookie": jar})
        assert done.headers["location"] == "/x/projects"
        failed = await browser.get("/oauth2/nobody/login")
        assert failed.headers["location"] == "/x/login?error=unknown_idp"


async def test_four_sign_ins_may_be_under_way_and_then_the_old_ones_go(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser:
        addresses = [await quick_world.begin(browser) for _ in range(4)]
        assert len(browser.cookies) == 4
        for address in addresses[:2]:
            done = await quick_world.finish(browser, provider.authorize(address))
            assert done.status_code == 302
        for _ in range(3):
            await quick_world.begin(browser)
        assert len([name for name in browser.cookies if "oauth2" in name]) <= 4


async def test_a_cookie_with_a_strange_name_does_no_harm(quick_world: ProviderWorld) -> None:
    strange = "; ".join(f"phoenix-oauth2-state-{text}=x" for text in ("@,é", "[]", "a b", "()"))
    async with quick_world.browser() as browser:
        answer = await browser.get("/oauth2/corp/login", headers={"cookie": strange.encode()})
    assert answer.status_code == 302


@pytest.mark.parametrize("name", ["a%0d%0aset-cookie:x", "..", "%2e%2e", "a;path=/", "A", "é"])
async def test_a_strange_provider_does_no_harm(quick_world: ProviderWorld, name: str) -> None:
    async with quick_world.browser() as browser:
        for path in (f"/oauth2/{name}/login", f"/oauth2/{name}/tokens?state=a&code=b"):
            answer = await browser.get(path)
            assert answer.status_code in {307, 404}
            assert "x" not in answer.headers.get_list("set-cookie")
            assert all("\r" not in value for value in answer.headers.values())


@pytest.mark.asvs("3.3.3")
async def test_with_the_host_prefix_the_cookie_carries_it(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    settings = AuthSettings(
        enabled=True,
        admin_secret=ADMIN_SECRET,
        secure_cookies=True,
        cookie_prefix="host",
        basic_auth_disabled=True,
    )
    accounts = quick_world.accounts
    prefixed = await started_accounts(accounts.database, accounts.clock, settings)
    world = ProviderWorld(prefixed, provider_settings(provider.config_url))
    async with world.browser() as browser:
        answer = await browser.get("/oauth2/corp/login")
        header = cookie_of(answer)
        assert header.startswith("__Host-phoenix-oauth2-state-")
        assert "Path=/;" in header
        assert "Secure" in header
        done = await world.finish(browser, provider.authorize(answer.headers["location"]))
        assert done.status_code == 302
        failed = await browser.get("/oauth2/nobody/login")
        assert failed.headers["location"] == "/logout?error=unknown_idp"
    prefixed.passwords.stop()


async def test_the_route_that_signs_in_names_every_record_that_it_leaves(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    async with quick_world.browser() as browser:
        await quick_world.sign_in_at(provider, browser)
    (route,) = (r for r in quick_world.routes if r.path == "/oauth2/{provider}/tokens")
    left = {record["event"] for record in await quick_world.records()}
    assert "user.created" in left
    assert left <= {str(event) for event in route.events}
    assert {"user.changed", "role.assigned"} <= {str(event) for event in route.events}
