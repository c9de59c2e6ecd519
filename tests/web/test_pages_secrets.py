"""Settings, Secrets and mail, as a browser without scripts uses the page. Spec: lines 156-170."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from started import StartedServer
from web.browsing import send, texts

PAGE = "/settings/secrets"
VALUE = "a-value-that-nobody-sees-again"
MAIL = {"hostname": "mail.example.com", "port": "587", "username": "u", "validate_certs": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    with StartedServer(tmp_path_factory.mktemp("secrets")) as started:
        yield started


def test_a_value_goes_in_and_never_comes_back(server: StartedServer) -> None:
    client = server.admin()
    assert send(client, PAGE, {"key": "MODEL_KEY", "value": VALUE}).status_code == 303
    page = client.get(PAGE)
    assert any("MODEL_KEY" in row for row in texts(page, "secret-row"))
    assert VALUE not in page.text
    delete = f"{PAGE}/MODEL_KEY/delete"
    assert "MODEL_KEY" in client.get(delete).text
    assert send(client, delete, {}).headers["location"] == f"{PAGE}?done=deleted"
    assert not texts(client.get(PAGE), "secret-row")
    assert client.get(delete).status_code == 404


@pytest.mark.parametrize(
    ("fields", "seen"),
    [({"key": "x", "value": ""}, "wrong-value"), ({"key": "a b", "value": VALUE}, "form-error")],
)
def test_mistakes_are_told_and_the_value_is_not_shown(
    server: StartedServer, fields: dict[str, str], seen: str
) -> None:
    answer = send(server.admin(), PAGE, {**fields})
    assert answer.status_code == 422
    assert seen in answer.text
    assert VALUE not in answer.text


def test_the_mail_server_is_stored_changed_and_forgotten(server: StartedServer) -> None:
    client = server.admin()
    fields: dict[str, str | list[str]] = {**MAIL, "password": VALUE}
    assert send(client, PAGE, fields, "/settings/mail").status_code == 303
    page = client.get(PAGE).text
    assert 'value="mail.example.com"' in page
    assert "One is set" in page
    assert VALUE not in page
    kept: dict[str, str | list[str]] = {**MAIL, "mail_from": "bennu@example.com"}
    assert send(client, PAGE, kept, "/settings/mail").status_code == 303
    shown = client.get("/v1/settings/smtp").json()["data"]
    assert (shown["password_set"], shown["mail_from"]) == (True, "bennu@example.com")
    elsewhere = send(client, PAGE, {**MAIL, "hostname": "other.example.com"}, "/settings/mail")
    assert elsewhere.status_code == 422
    assert 'id="wrong-password"' in elsewhere.text
    bare: dict[str, str | list[str]] = {**MAIL, "username": "", "no_password": "1"}
    assert send(client, PAGE, bare, "/settings/mail").status_code == 303
    assert client.get("/v1/settings/smtp").json()["data"]["password_set"] is False
    assert send(client, PAGE, {}, "/settings/mail/delete").status_code == 303
    assert send(client, PAGE, {}, "/settings/mail/delete").status_code == 404
    assert client.get("/v1/settings/smtp").status_code == 404


def test_who_may_not_manage_secrets_sees_no_name_in_a_refusal(server: StartedServer) -> None:
    admin = server.admin()
    assert send(admin, PAGE, {"key": "HIDDEN_KEY", "value": VALUE}).status_code == 303
    role = {"name": "POSTMASTER", "permissions": ["settings:manage", "projects:read"]}
    assert admin.post("/v1/roles", json=role).status_code == 201
    first, second = "a-first-Password-11", "a-second-Password-12"
    account = {"email": "p@example.com", "username": "p", "role": "POSTMASTER"}
    made = {**account, "auth_method": "LOCAL", "password": first}
    assert admin.post("/v1/users", json={"user": made}).status_code == 201
    change = {"current_password": first, "password": second}
    person = server.sign_in("p@example.com", first)
    assert person.patch("/v1/user", json=change).status_code == 200
    person = server.sign_in("p@example.com", second)
    for target, fields in (
        ("/settings/mail", {**MAIL, "port": "x"}),
        ("/settings/mail/delete", {}),
    ):
        answer = send(person, "/account", {**fields}, target)
        assert 400 <= answer.status_code < 500
        assert "HIDDEN_KEY" not in answer.text
    assert send(admin, PAGE, {}, f"{PAGE}/HIDDEN_KEY/delete").status_code == 303
    fields = {**MAIL, "username": ""}
    assert send(person, "/account", {**fields}, "/settings/mail").status_code == 303
    assert send(person, "/account", {}, "/settings/mail/delete").status_code == 303


@pytest.mark.parametrize("port", ["x", "0", "65536", "99999999", "-1", "000001" + "0" * 5_000])
def test_a_port_that_is_none(server: StartedServer, port: str) -> None:
    answer = send(server.admin(), PAGE, {**MAIL, "port": port}, "/settings/mail")
    assert answer.status_code == 422
    assert 'id="wrong-port"' in answer.text


def test_what_the_environment_sets_is_shown_and_not_changed(tmp_path: Path) -> None:
    env = {"PHOENIX_SMTP_HOSTNAME": "env.example.com", "PHOENIX_SMTP_PASSWORD": VALUE}
    with StartedServer(tmp_path, {**env, "PHOENIX_SMTP_USERNAME": "u"}) as server:
        client = server.admin()
        page = client.get(PAGE).text
        assert "env.example.com" in page
        assert VALUE not in page
        assert 'action="/settings/mail"' not in page
        assert send(client, PAGE, {**MAIL}, "/settings/mail").status_code == 409
