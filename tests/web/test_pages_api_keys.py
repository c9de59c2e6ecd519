"""Settings, API Keys, as a browser without scripts uses the page. Spec: lines 136-141."""

from collections.abc import Iterator

import httpx
import pytest

from started import StartedServer
from web.browsing import send, signed_in_browser, texts, token_on

PAGE = "/settings/api-keys"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("keys")) as started:
        yield started


def made(client: httpx.Client, **fields: str | list[str]) -> str:
    answer = send(client, f"{PAGE}?new=1", {"name": "made here", "kind": "user", **fields}, PAGE)
    assert answer.status_code == 201, answer.text
    (key,) = texts(answer, "new-api-key")
    return key


def test_a_key_is_made_shown_once_and_works(server: StartedServer) -> None:
    client = signed_in_browser(server)
    key = made(client, name="first", permissions=["projects:read", "traces:ingest"])
    assert server.client(key).get("/v1/projects").status_code == 200
    assert server.client(key).get("/v1/users").status_code == 403
    page = client.get(PAGE)
    assert key not in page.text
    assert any("first" in row for row in texts(page, "api-key-row"))


def test_a_form_that_is_sent_again_makes_no_second_key(server: StartedServer) -> None:
    client = signed_in_browser(server)
    fields = {"name": "only one", "kind": "user", "permissions": ["projects:read"]}
    form = {"csrf_token": token_on(client.get(f"{PAGE}?new=1")), **fields}
    assert client.post(PAGE, data={**form, "name": " "}).status_code == 422
    assert client.post(PAGE, data=form).status_code == 201
    again = client.post(PAGE, data=form)
    assert again.status_code == 409
    assert texts(again, "key-made-already")
    assert f'href="{PAGE}"' in again.text
    assert "bnu_uk_" not in again.text
    assert sum("only one" in row for row in texts(client.get(PAGE), "api-key-row")) == 1
    rows = client.get(PAGE).text
    rotate = rows[rows.index('href="/settings/api-keys/', rows.index("only one")) :].split('"')[1]
    form = {"csrf_token": token_on(client.get(rotate)), "overlap_minutes": "60"}
    assert client.post(rotate, data=form).status_code == 201
    again = client.post(rotate, data=form)
    assert again.status_code == 409
    assert texts(again, "key-made-already")
    assert sum("only one" in row for row in texts(client.get(PAGE), "api-key-row")) == 2


def test_the_list_shows_how_each_key_begins(server: StartedServer) -> None:
    client = signed_in_browser(server)
    key = made(client, name="recognised", permissions=["projects:read"])
    begins, secret = key.rsplit("_", 2)[0], key.rsplit("_", 2)[1]
    page = client.get(PAGE)
    assert f"{begins}…" in texts(page, "api-key-prefix")
    assert secret not in page.text
    assert begins not in server.admin().get("/v1/user/api_keys").text


def test_everything_that_one_may_is_ticked_at_first(server: StartedServer) -> None:
    page = signed_in_browser(server).get(f"{PAGE}?new=1").text
    boxes = page.count('name="permissions"')
    assert boxes > 10
    assert page.count(" checked") == boxes
    ingest = signed_in_browser(server).get(f"{PAGE}?new=1&preset=ingest").text
    assert ingest.count(" checked") == 1
    assert 'value="traces:ingest" checked' in ingest


def test_a_mistake_is_told_beside_its_field_and_nothing_typed_is_lost(
    server: StartedServer,
) -> None:
    client = signed_in_browser(server)
    fields: dict[str, str | list[str]] = {
        "name": "  ",
        "description": "kept as typed",
        "permissions": ["traces:read"],
    }
    answer = send(client, f"{PAGE}?new=1", fields, PAGE)
    assert answer.status_code == 422
    assert 'id="wrong-name"' in answer.text
    assert 'value="kept as typed"' in answer.text
    assert 'value="traces:read" checked' in answer.text
    for expiry in ("not-a-day", "2001-01-01"):
        body: dict[str, str | list[str]] = {
            "name": "x",
            "permissions": ["traces:read"],
            "expires_at": expiry,
        }
        wrong = send(client, f"{PAGE}?new=1", body, PAGE)
        assert wrong.status_code == 422
        assert 'id="wrong-expires_at"' in wrong.text


def test_a_key_is_for_the_projects_that_were_ticked_and_no_namesake(server: StartedServer) -> None:
    client = signed_in_browser(server)
    shop = client.post("/v1/projects", json={"name": "shop"}).json()["data"]["id"]
    assert client.post("/v1/projects", json={"name": shop}).status_code == 200
    assert f'name="projects" value="{shop}"' in client.get(f"{PAGE}?new=1").text
    key = made(client, name="of one shop", permissions=["projects:read"], projects=[shop])
    seen = server.client(key).get("/v1/projects").json()["data"]
    assert [project["name"] for project in seen] == ["shop"]
    ticked = {"name": " ", "permissions": ["projects:read"], "projects": [shop] * 1_000}
    answer = send(client, f"{PAGE}?new=1", ticked, PAGE)
    assert answer.status_code == 422
    assert f'value="{shop}" checked' in answer.text


def test_nothing_ticked_is_a_mistake(server: StartedServer) -> None:
    answer = send(signed_in_browser(server), f"{PAGE}?new=1", {"name": "none"}, PAGE)
    assert answer.status_code == 422
    assert 'id="wrong-permissions"' in answer.text


def test_a_service_account_has_a_role(server: StartedServer) -> None:
    client = signed_in_browser(server)
    key = made(
        client,
        name="service",
        kind="system",
        role="VIEWER",
        permissions=["traces:read", "projects:read", "annotations:read"],
    )
    assert server.client(key).get("/v1/projects").status_code == 200
    assert "service account, VIEWER" in client.get(PAGE).text


def test_revoking_asks_first_and_then_holds_at_once(server: StartedServer) -> None:
    client = signed_in_browser(server)
    key = made(client, name="to be revoked", permissions=["projects:read"])
    rows = client.get(PAGE).text
    start = rows.index("to be revoked")
    address = rows[rows.index('href="/settings/api-keys/', start) :].split('"')[1]
    revoke = address.replace("/rotate", "/revoke")
    assert "to be revoked" in client.get(revoke).text
    assert server.client(key).get("/v1/projects").status_code == 200
    answer = send(client, revoke, {})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done=revoked")
    assert server.client(key).get("/v1/projects").status_code == 401
    assert client.get(revoke).status_code == 404


def test_rotating_shows_the_successor(server: StartedServer) -> None:
    client = signed_in_browser(server)
    key = made(client, name="to be rotated", permissions=["projects:read"])
    rows = client.get(PAGE).text
    start = rows.index("to be rotated")
    rotate = rows[rows.index('href="/settings/api-keys/', start) :].split('"')[1]
    assert send(client, rotate, {"overlap_minutes": "7"}).status_code == 422
    answer = send(client, rotate, {"overlap_minutes": "0"})
    (successor,) = texts(answer, "new-api-key")
    assert successor != key
    assert server.client(successor).get("/v1/projects").status_code == 200
    assert server.client(key).get("/v1/projects").status_code == 401


@pytest.mark.asvs("3.5.1")
def test_a_form_of_another_session_is_refused(server: StartedServer) -> None:
    client = signed_in_browser(server)
    answer = client.post(PAGE, data={"name": "x", "csrf_token": "wrong"})
    assert answer.status_code == 403


def test_strangers_are_led_to_the_way_in_and_keys_are_refused(server: StartedServer) -> None:
    answer = server.client().get(PAGE, follow_redirects=False)
    assert answer.headers["location"] == "/login?returnUrl=%2Fsettings%2Fapi-keys"
    key = server.api_key()
    assert server.client(key).get(PAGE).status_code == 403


@pytest.mark.asvs("1.2.1")
def test_names_are_text_and_nothing_else(server: StartedServer) -> None:
    client = signed_in_browser(server)
    name = '"><script>alert(1)</script>{{7*7}}'
    made(client, name=name, permissions=["traces:read"])
    page = client.get(PAGE).text
    assert "<script>alert" not in page
    assert "{{7*7}}" in page
