"""Settings, Users, as a browser without scripts uses the page. Spec: lines 153, 265."""

from collections.abc import Iterator

import httpx
import pytest

from started import StartedServer
from web.browsing import send, texts, token_on

PAGE = "/settings/users"
FIRST = "a-first-Password-11"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("users")) as started:
        yield started


def made(client: httpx.Client, name: str, role: str = "MEMBER") -> str:
    fields: dict[str, str | list[str]] = {
        "email": f"{name}@example.com",
        "username": name,
        "role": role,
        "auth_method": "LOCAL",
        "password": FIRST,
    }
    answer = send(client, f"{PAGE}?new=1", fields, PAGE)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].partition("?")[0]


def with_own_password(server: StartedServer, name: str) -> httpx.Client:
    person = server.sign_in(f"{name}@example.com", FIRST)
    body = {"current_password": FIRST, "password": "a-second-Password-12"}
    assert person.patch("/v1/user", json=body).status_code == 200
    return server.sign_in(f"{name}@example.com", "a-second-Password-12")


def test_an_account_is_made_changed_and_deleted(server: StartedServer) -> None:
    client = server.admin()
    page = made(client, "bob")
    assert any("bob@example.com" in row for row in texts(client.get(PAGE), "user-row"))
    person = server.sign_in("bob@example.com", FIRST)
    assert person.get("/", follow_redirects=False).headers["location"] == "/account/password"
    assert "must choose a password" in client.get(page).text
    changed = send(client, page, {"username": "robert", "role": "VIEWER", "active": "1"})
    assert changed.headers["location"] == f"{page}?done=changed"
    assert "robert" in client.get(page).text
    assert send(client, page, {"username": "robert", "role": "VIEWER"}).status_code == 303
    assert person.get("/v1/user").status_code == 401
    assert "deactivated" in client.get(page).text
    assert "robert" in client.get(f"{page}/delete").text
    assert send(client, f"{page}/delete", {}).headers["location"] == f"{PAGE}?done=deleted"
    assert client.get(page).status_code == 404


def test_sessions_of_somebody_are_ended(server: StartedServer) -> None:
    client = server.admin()
    page = made(client, "eve")
    person = server.sign_in("eve@example.com", FIRST)
    assert "last used" in client.get(page).text
    assert (
        send(client, page, {}, f"{page}/end-sessions").headers["location"] == f"{page}?done=ended"
    )
    assert person.get("/v1/user").status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "nonsense"), ("username", " "), ("password", "short"), ("role", "NOBODY")],
)
def test_a_mistake_keeps_what_was_typed(server: StartedServer, field: str, value: str) -> None:
    fields: dict[str, str | list[str]] = {
        "email": "kept@example.com",
        "username": "kept",
        "role": "MEMBER",
        "auth_method": "LOCAL",
        "password": FIRST,
        field: value,
    }
    answer = send(server.admin(), f"{PAGE}?new=1", fields, PAGE)
    assert 400 <= answer.status_code < 500
    assert texts(answer, "form-error")
    assert 'value="kept' in answer.text
    assert FIRST not in answer.text


def test_who_may_only_read_is_shown_no_form(server: StartedServer) -> None:
    admin = server.admin()
    role = {"name": "READER", "permissions": ["users:read", "projects:read"]}
    assert admin.post("/v1/roles", json=role).status_code == 201
    made(admin, "reader", "READER")
    person = with_own_password(server, "reader")
    page = person.get(PAGE)
    assert page.status_code == 200
    assert "Create User" not in page.text
    assert person.get("/settings/roles").status_code == 403
    assert "You may not do this" in person.get("/settings/audit").text


def test_who_may_not_see_accounts_sees_none_in_a_refusal(server: StartedServer) -> None:
    admin = server.admin()
    role = {"name": "BLIND", "permissions": ["users:manage", "projects:read"]}
    assert admin.post("/v1/roles", json=role).status_code == 201
    other = made(admin, "veiled", "BLIND")
    made(admin, "blind", "BLIND")
    person = with_own_password(server, "blind")
    token = token_on(person.get("/account"))
    forms = ((PAGE, {"email": "x"}), (other, {"username": " "}), (f"{other}/delete", {}))
    answers = [person.post(page, data={"csrf_token": token, **form}) for page, form in forms[:2]]
    answers += [person.get(page) for page, _ in forms]
    assert [answer.status_code // 100 for answer in answers] == [4] * 5
    assert not [answer.url for answer in answers if "veiled" in answer.text]


def test_nobody_changes_their_own_role(server: StartedServer) -> None:
    client = server.admin()
    own = f"{PAGE}/{client.get('/v1/user').json()['data']['id']}"
    assert 'name="role"' not in client.get(own).text
    sent = send(client, own, {"role": "VIEWER", "username": "admin", "active": "1"})
    assert sent.status_code == 403
    assert client.get("/v1/user").json()["data"]["role"] == "ADMIN"
