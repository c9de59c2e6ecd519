"""A real browser signs in through a certified provider, and out again. Spec: lines 91-133."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from peers.oidc import OidcPeer, provider_variables
from started import ADMIN_EMAIL, PASSWORD, StartedServer

expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def server(
    oidc_peer: OidcPeer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartedServer]:
    started = StartedServer(tmp_path_factory.mktemp("browser"))
    root_url = f"http://localhost:{started.port}"
    started.env["PHOENIX_ROOT_URL"] = root_url
    started.env["PHOENIX_DISABLE_RATE_LIMIT"] = "true"
    client = oidc_peer.register(
        f"{root_url}/oauth2/peer/tokens",
        post_logout_redirect_uris=[f"{root_url}/login"],
        backchannel_logout_uri=f"{root_url}/oauth2/peer/backchannel-logout",
        backchannel_logout_session_required=True,
    )
    config_url = oidc_peer.config_url(oidc_peer.issuer)
    started.env |= provider_variables("peer", config_url, client, DISPLAY_NAME="Corporate sign-in")
    oidc_peer.add_account("bea", email="bea@corp.example", email_verified=True, name="Bea Browser")
    with started:
        yield started


def pass_the_provider(tab: Page) -> None:
    """Say who one is, and agree, on the provider's own pages."""
    tab.locator('input[name="login"]').fill("bea")
    tab.locator('input[name="password"]').fill("x")
    tab.locator('button[type="submit"]').click()
    tab.locator('button[type="submit"]').click()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A page of a browser without cookies; the provider's own pages are not watched."""
    context = browser.new_context()
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def test_from_the_page_that_was_wanted_and_back_to_it(
    server: StartedServer, tab: Page, oidc_peer: OidcPeer
) -> None:
    root_url = server.env["PHOENIX_ROOT_URL"]
    tab.goto(f"{root_url}/account/sessions?from=mail")
    expect(tab).to_have_url(re.compile(re.escape(f"{root_url}/login")))
    tab.get_by_role("link", name="Corporate sign-in").click()
    expect(tab).to_have_url(re.compile(re.escape(oidc_peer.issuer)))
    pass_the_provider(tab)
    expect(tab).to_have_url(f"{root_url}/account/sessions?from=mail")
    expect(tab.get_by_text("Bea Browser").first).to_be_visible()
    cookies = {cookie["name"]: cookie for cookie in tab.context.cookies()}
    assert cookies["phoenix-access-token"]["sameSite"] == "Strict"
    assert not [name for name in cookies if "oauth2" in name]

    tab.get_by_role("button", name="Sign out", exact=True).click()
    # The page that says so leads on to the provider, which asks once more.
    tab.locator('button[name="logout"][value="yes"]').click()
    expect(tab).to_have_url(re.compile(re.escape(f"{root_url}/login")))
    assert "phoenix-access-token" not in {c["name"] for c in tab.context.cookies()}

    tab.goto(f"{root_url}/account/sessions")
    assert urlsplit(tab.url).path == "/login"
    tab.get_by_role("link", name="Corporate sign-in").click()
    # Out there as well: the provider asks who it is.
    expect(tab.locator('input[name="login"]')).to_be_visible()


def test_a_refusal_is_told_on_the_page(server: StartedServer, tab: Page) -> None:
    root_url = server.env["PHOENIX_ROOT_URL"]
    tab.goto(f"{root_url}/oauth2/peer/login?returnUrl=//evil.example")
    expect(tab).to_have_url(f"{root_url}/login?error=unsafe_return_url")
    expect(tab.get_by_role("alert")).to_be_visible()


@pytest.mark.asvs("14.3.1")
def test_nothing_is_seen_after_signing_out(tab: Page, tmp_path: Path) -> None:
    """Neither by going back nor in what the browser stored. Source: OWASP ASVS 5.0 V14.3.1."""
    with StartedServer(tmp_path) as own:
        own.admin().post("/v1/projects", json={"name": "of-the-session"})
        tab.goto(f"{own.base_url}/login?returnUrl=/projects")
        tab.get_by_label("E-mail").fill(ADMIN_EMAIL)
        tab.get_by_label("Password").fill(PASSWORD)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_text("of-the-session")).to_be_visible()
        tab.goto(f"{own.base_url}/account/sessions")
        tab.get_by_role("button", name="Sign out").first.click()
        expect(tab).to_have_url(re.compile("/login|/logout"))
        for _ in range(4):
            tab.go_back()
            expect(tab.get_by_text("of-the-session")).to_have_count(0)
            expect(tab.get_by_text(ADMIN_EMAIL)).to_have_count(0)
            expect(tab.get_by_role("button", name="Sign out")).to_have_count(0)
        tab.goto(f"{own.base_url}/projects")
        expect(tab).to_have_url(re.compile("/login"))
        assert [c for c in tab.context.cookies() if c["value"].startswith("bnu_")] == []
        assert tab.evaluate("localStorage.length + sessionStorage.length") == 0
        assert tab.evaluate("async () => (await indexedDB.databases()).length") == 0
        assert tab.evaluate("async () => (await caches.keys()).length") == 0
