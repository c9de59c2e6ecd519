"""A page asked for after the access credential has ended."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from started import ADMIN_EMAIL, FIRST_PASSWORD, StartedServer
from web.browsing import token_on

REFRESH = "phoenix-refresh-token"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("renewal")) as started:
        yield started


def without_access(client: httpx.Client) -> httpx.Client:
    client.cookies.delete("phoenix-access-token")
    return client


def test_a_page_renews_the_session(server: StartedServer) -> None:
    client = without_access(server.admin())
    before = client.cookies["phoenix-refresh-token"]
    answer = client.get("/")
    assert answer.headers["location"] == "/projects"
    assert client.cookies["phoenix-refresh-token"] != before
    assert client.get("/v1/user").json()["data"]["email"] == ADMIN_EMAIL


def test_the_interface_does_not(server: StartedServer) -> None:
    client = without_access(server.admin())
    assert client.get("/v1/user").status_code == 401


def test_a_refresh_that_is_worth_nothing_leads_to_the_way_in(server: StartedServer) -> None:
    client = server.client()
    client.cookies.set("phoenix-refresh-token", "nonsense")
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_bearer_is_left_alone(server: StartedServer) -> None:
    client = without_access(server.admin())
    answer = client.get("/", headers={"authorization": "Bearer nonsense"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_cookies_of_others_neither_hinder_nor_get_lost(server: StartedServer) -> None:
    refresh = server.admin().cookies[REFRESH]
    cookies = f'other={{"a": [1]}}; {REFRESH}={refresh}; bennu-theme=dark; x y; {REFRESH}=nonsense'
    answer = server.client().get("/projects", headers={"cookie": cookies})
    assert answer.status_code == 200
    assert answer.cookies[REFRESH] != refresh
    assert 'data-theme="dark"' in answer.text


def test_an_answer_that_sets_another_cookie_renews_too(server: StartedServer) -> None:
    client = server.admin()
    before, token = client.cookies[REFRESH], token_on(client.get("/account"))
    without_access(client)
    answer = client.post(
        "/account/theme", data={"csrf_token": token, "theme": "dark"}, follow_redirects=False
    )
    assert answer.status_code == 303, answer.text
    assert client.cookies["bennu-theme"] == "dark"
    assert client.cookies[REFRESH] != before
    assert client.get("/account").status_code == 200


def test_the_interface_is_known_under_a_root_path(tmp_path: Path) -> None:
    with StartedServer(tmp_path, {"PHOENIX_HOST_ROOT_PATH": "/bennu"}) as server:
        client = server.client()
        sign_in = {"email": ADMIN_EMAIL, "password": FIRST_PASSWORD}
        assert client.post("/auth/login", json=sign_in).status_code == 204
        before = client.cookies[REFRESH]
        without_access(client)
        assert client.get("/v1/user").status_code == 401
        assert client.cookies[REFRESH] == before
        client.get("/", follow_redirects=False)
        assert client.cookies[REFRESH] != before
