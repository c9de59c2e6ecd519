"""Settings, Sign-in, as a browser without scripts uses the page. Spec: lines 24-133, 279-285."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.slapd import SlapdServer
from started import StartedServer
from web.browsing import send, texts
from web.site_world import PROVIDER

PAGE = "/settings/sign-in"
NEW = "/settings/new-provider"
SECRET = "a-client-secret-that-nobody-sees"
ACME: dict[str, str | list[str]] = {
    "name": "acme",
    "display_name": "Acme",
    "client_id": "bennu",
    "oidc_config_url": "https://127.0.0.1:9/.well-known/openid-configuration",
    "use_pkce": "1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("sign-in"), PROVIDER) as started:
        yield started


def test_a_provider_is_added_changed_and_deleted(server: StartedServer) -> None:
    client = server.admin()
    added = send(client, NEW, {**ACME, "client_secret": SECRET}, PAGE)
    assert added.status_code == 303, added.text
    assert any(
        "Acme" in row and "database" in row for row in texts(client.get(PAGE), "provider-row")
    )
    assert "Continue with Acme" in server.client().get("/login").text
    one = client.get(f"{PAGE}/acme").text
    assert "One is set" in one
    assert SECRET not in one
    changed = send(client, f"{PAGE}/acme", {**ACME, "display_name": "Acme 2"})
    assert changed.status_code == 303, changed.text
    (stored,) = (
        p for p in client.get("/v1/settings/oauth2_providers").json()["data"] if p["name"] == "acme"
    )
    assert (stored["display_name"], stored["client_secret_set"]) == ("Acme 2", True)
    assert "Acme 2" in client.get(f"{PAGE}/acme/delete").text
    assert send(client, f"{PAGE}/acme/delete", {}).status_code == 303
    assert client.get(f"{PAGE}/acme").status_code == 404


def test_mistakes_stand_beside_their_field_and_nothing_typed_is_lost(
    server: StartedServer,
) -> None:
    client = server.admin()
    wrong = send(client, NEW, {**ACME, "oidc_config_url": "nowhere", "client_secret": SECRET}, PAGE)
    assert wrong.status_code == 422
    assert 'id="wrong-oidc_config_url"' in wrong.text
    assert 'value="Acme"' in wrong.text
    assert SECRET not in wrong.text
    taken = send(client, NEW, {**ACME, "name": "keycloak"}, PAGE)
    assert taken.status_code == 409


def test_what_the_environment_sets_is_shown_and_not_changed(server: StartedServer) -> None:
    client = server.admin()
    page = client.get(f"{PAGE}/keycloak").text
    assert "Set by the environment" in page
    assert PROVIDER["PHOENIX_OAUTH2_KEYCLOAK_CLIENT_SECRET"] not in page
    assert send(client, f"{PAGE}/keycloak", dict(ACME)).status_code == 409
    assert send(client, f"{PAGE}/keycloak/delete", {}).status_code == 409


def test_trying_a_provider_names_the_setting_behind_the_fault(server: StartedServer) -> None:
    client = server.admin()
    page = send(client, PAGE, {}, f"{PAGE}/keycloak/test")
    assert page.status_code == 200
    steps = texts(page, "trial-step")
    assert any("metadata" in s and "PHOENIX_OAUTH2_KEYCLOAK_OIDC_CONFIG_URL" in s for s in steps)
    assert send(client, PAGE, {}, f"{PAGE}/absent/test").status_code == 404


def test_without_a_directory_there_is_nothing_to_try(server: StartedServer) -> None:
    client = server.admin()
    assert "None is configured" in client.get(PAGE).text
    answer = send(client, PAGE, {"username": "x"}, "/settings/directory/test")
    assert answer.status_code == 404


def test_trying_the_directory_shows_every_step(slapd: SlapdServer, tmp_path: Path) -> None:
    with StartedServer(tmp_path, slapd.env()) as server:
        client = server.admin()
        assert "PHOENIX_LDAP_HOST" in client.get(PAGE).text
        person: dict[str, str | list[str]] = {"username": "alice", "password": "alicepw"}
        page = send(client, PAGE, person, "/settings/directory/test")
        steps = texts(page, "trial-step")
        assert [s.split()[1] for s in steps[:4]] == ["dns", "connect", "tls", "service_bind"]
        assert any("user_bind" in s and s.startswith("ok") for s in steps)
        assert "alicepw" not in page.text
        assert "alicepw" not in server.log()
        wrong = send(client, PAGE, {**person, "password": "no"}, "/settings/directory/test")
        assert any("fault" in s and "user_bind" in s for s in texts(wrong, "trial-step"))
        assert not any(u["username"] == "alice" for u in client.get("/v1/users").json()["data"])
