"""One's own pages. Spec: lines 13, 257."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from started import ADMIN_EMAIL, FIRST_PASSWORD, PASSWORD, StartedServer
from web.browsing import send, texts, token_on


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("account")) as started:
        yield started


def test_the_first_password_leads_to_one_page_only(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        client = server.sign_in()
        for path in ("/", "/account", "/settings/api-keys"):
            answer = client.get(path, follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (303, "/account/password")
        page = client.get("/account/password")
        assert "Choose a password of your own" in page.text
        fields: dict[str, str | list[str]] = {
            "current_password": FIRST_PASSWORD,
            "password": PASSWORD,
            "repeated_password": PASSWORD,
        }
        answer = send(client, "/account/password", fields)
        assert answer.headers["location"] == "/login?done=password-changed"
        assert not client.cookies
        assert server.sign_in(password=PASSWORD).get("/account").status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "again", "field"),
    [
        (PASSWORD, "a-new-Password-7", "a-new-Password-8", "repeated_password"),
        (PASSWORD, "short", "short", "password"),
        (PASSWORD, "password1234", "password1234", "password"),
        ("wrong-Password-1", "a-new-Password-7", "a-new-Password-7", ""),
    ],
)
def test_mistakes_stand_beside_their_field(
    server: StartedServer, current: str, new: str, again: str, field: str
) -> None:
    client = server.admin()
    fields: dict[str, str | list[str]] = {
        "current_password": current,
        "password": new,
        "repeated_password": again,
    }
    answer = send(client, "/account/password", fields)
    assert 400 <= answer.status_code < 500
    assert texts(answer, "form-error")
    if field:
        assert f'id="wrong-{field}"' in answer.text
    assert new not in answer.text
    assert client.get("/v1/user").status_code == 200


def test_the_profile_changes_the_name(server: StartedServer) -> None:
    client = server.admin()
    assert ADMIN_EMAIL in client.get("/account").text
    answer = send(client, "/account", {"username": "ada"})
    assert answer.headers["location"] == "/account?done=changed"
    assert 'value="ada"' in client.get("/account").text
    wrong = send(client, "/account", {"username": " "})
    assert wrong.status_code == 422
    assert 'id="wrong-username"' in wrong.text


def test_sessions_are_listed_and_ended(server: StartedServer) -> None:
    client, other = server.admin(), server.admin()
    page = client.get("/account/sessions")
    assert len(texts(page, "session-row")) >= 2
    assert page.text.count("this device") == 1
    token = token_on(page)
    answer = client.post("/account/sessions/end-others", data={"csrf_token": token})
    assert answer.headers["location"] == "/account/sessions?done=ended"
    assert other.get("/v1/user").status_code == 401
    page = client.get("/account/sessions")
    (row,) = texts(page, "session-row")
    assert "this device" in row
    target = page.text[page.text.index('action="/account/sessions/') :].split('"')[1]
    ended = client.post(target, data={"csrf_token": token_on(page)}, follow_redirects=False)
    assert ended.headers["location"] == "/logout"
    assert not client.cookies


def test_colours_are_kept_in_the_browser(server: StartedServer) -> None:
    client = server.admin()
    assert 'data-theme="system"' in client.get("/account").text
    send(client, "/account", {"theme": "dark"}, "/account/theme")
    assert 'data-theme="dark"' in client.get("/account").text
    send(client, "/account", {"theme": "x"}, "/account/theme")
    assert 'data-theme="dark"' in client.get("/account").text
