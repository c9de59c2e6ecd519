"""The ways in and out, as a browser without scripts uses them."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from started import ADMIN_EMAIL, PASSWORD, StartedServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("ways")) as started:
        started.admin()
        yield started


def token_on(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def signed_in(server: StartedServer, password: str = PASSWORD, wanted: str = "") -> httpx.Response:
    client = server.client()
    address = f"/login?returnUrl={wanted}" if wanted else "/login"
    token = token_on(client.get(address))
    return client.post(
        address,
        data={"csrf_token": token, "email": ADMIN_EMAIL, "password": password},
        follow_redirects=False,
    )


def test_the_form_signs_in_and_leads_on(server: StartedServer) -> None:
    answer = signed_in(server)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "phoenix-access-token" in answer.cookies


def test_one_lands_on_the_page_that_was_wanted(server: StartedServer) -> None:
    assert signed_in(server, wanted="/settings/audit%3Fa%3Db").headers["location"] == (
        "/settings/audit?a=b"
    )
    assert signed_in(server, wanted="//evil.example").headers["location"] == "/"


def test_a_failure_tells_nothing_and_keeps_the_address(server: StartedServer) -> None:
    answer = signed_in(server, password="not-the-password")
    assert answer.status_code == 401
    assert 'data-testid="form-error"' in answer.text
    assert "Invalid email and/or password" in answer.text
    assert f'value="{ADMIN_EMAIL}"' in answer.text
    assert "not-the-password" not in answer.text
    assert not answer.cookies


def test_a_form_without_its_token_is_refused(server: StartedServer) -> None:
    body = {"email": ADMIN_EMAIL, "password": PASSWORD}
    answer = server.client().post("/login", data=body)
    assert answer.status_code == 403
    assert "load the page again" in answer.text
    assert "Authentication is off" not in answer.text
    assert not answer.cookies


def test_signing_out_ends_the_session_here_and_there(server: StartedServer) -> None:
    client = server.admin()
    old = dict(client.cookies)
    page = client.get("/nowhere-yet", follow_redirects=False)
    assert page.status_code == 404
    token = token_on(client.get("/login"))
    answer = client.post("/logout", data={"csrf_token": token}, follow_redirects=True)
    assert answer.status_code == 200
    assert "You are signed out" in answer.text
    assert not client.cookies
    again = httpx.get(f"{server.base_url}/v1/user", cookies=old)
    assert again.status_code == 401


def test_signing_out_from_another_site_is_refused(server: StartedServer) -> None:
    client = server.admin()
    assert client.post("/logout", data={"csrf_token": "x"}).status_code == 403
    assert client.get("/v1/user").status_code == 200


def test_the_start_page_leads_to_the_projects(server: StartedServer) -> None:
    answer = server.admin().get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/projects")


PROVIDER = {
    "PHOENIX_OAUTH2_X_CLIENT_ID": "x",
    "PHOENIX_OAUTH2_X_CLIENT_SECRET": "x",
    "PHOENIX_OAUTH2_X_OIDC_CONFIG_URL": "https://id.example.com/.well-known/openid-configuration",
    "PHOENIX_OAUTH2_X_DISPLAY_NAME": "Example & Co",
}


def test_a_provider_is_offered_beside_the_form(tmp_path: Path) -> None:
    with StartedServer(tmp_path, PROVIDER) as server:
        page = server.client().get("/login?returnUrl=/account").text
        assert 'name="password"' in page
        assert "Continue with Example &amp; Co" in page
        assert 'href="/oauth2/x/login?returnUrl=%2Faccount"' in page
        error = server.client().get("/login?error=email_in_use").text
        assert "signs in another way" in error
        unknown = server.client().get("/login?error=%3Cscript%3E").text
        assert "<script>" not in unknown


def test_without_basic_authentication_there_is_no_form(tmp_path: Path) -> None:
    env = {**PROVIDER, "PHOENIX_DISABLE_BASIC_AUTH": "true", "PHOENIX_OAUTH2_X_AUTO_LOGIN": "true"}
    with StartedServer(tmp_path, env) as server:
        answer = server.client().get("/login?returnUrl=/account", follow_redirects=False)
        assert answer.headers["location"] == "/oauth2/x/login?returnUrl=%2Faccount"
        page = server.client().get("/login?local=1")
        assert page.status_code == 200
        assert 'name="password"' not in page.text
        assert server.client().get("/forgot-password").status_code == 404


def test_a_directory_has_a_form_of_its_own(tmp_path: Path) -> None:
    env = {
        "PHOENIX_LDAP_HOST": "127.0.0.1:9",
        "PHOENIX_LDAP_TLS_MODE": "none",
        "PHOENIX_LDAP_USER_SEARCH_BASE_DNS": "ou=people,dc=example,dc=com",
    }
    with StartedServer(tmp_path, env) as server:
        client = server.client()
        page = client.get("/login")
        assert "Sign in with the company directory" in page.text
        body = {"csrf_token": token_on(page), "method": "ldap", "username": "ada", "password": "x"}
        answer = client.post("/login", data=body)
        assert answer.status_code == 503
        assert 'value="ada"' in answer.text
        assert '<details class="more" open>' in answer.text
