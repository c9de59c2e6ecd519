"""``bennu user``: shapes that scripts rely on, with the server up and down. Spec: lines 12-13."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bennu.cli import user as user_module
from bennu.cli.main import main
from started import ADMIN_EMAIL, StartedServer

PASSWORD = "given-on-Standard-input-9"


def write_env_file(server: StartedServer, **more: str) -> None:
    lines = [f"{name}={value}" for name, value in {**server.env, **more}.items()]
    (server.folder / "bennu.env").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    env = {"PHOENIX_DISABLE_RATE_LIMIT": "true"}
    with StartedServer(tmp_path_factory.mktemp("user"), env) as started:
        write_env_file(started)
        yield started


def run(server: StartedServer, *arguments: str, typed: str = "") -> Result:
    env_file = str(server.folder / "bennu.env")
    return CliRunner().invoke(main, ["user", *arguments, "--env-file", env_file], input=typed)


def told(server: StartedServer, *arguments: str, typed: str = "") -> Any:
    answer = run(server, *arguments, "--json", typed=typed)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def status_of_sign_in(server: StartedServer, email: str, password: str) -> int:
    body = {"email": email, "password": password}
    return server.client().post("/auth/login", json=body).status_code


def test_an_account_is_made_beside_the_server_and_its_password_must_be_changed(
    server: StartedServer,
) -> None:
    made = told(server, "create", "Ada@example.com", "--role", "viewer")
    assert (made["email"], made["username"], made["role"]) == ("ada@example.com", "Ada", "VIEWER")
    assert made["password_needs_reset"] is True
    session = server.sign_in("ada@example.com", made["password"])
    assert session.get("/v1/projects").status_code == 403
    listed = {user["email"]: user for user in told(server, "list")}
    assert set(listed) >= {"ada@example.com", ADMIN_EMAIL, "system@localhost"}
    assert "password" not in listed["ada@example.com"]
    assert run(server, "create", "ada@example.com").exit_code == 1


def test_standard_output_is_the_password_alone(server: StartedServer) -> None:
    answer = run(server, "create", "bob@example.com")
    assert answer.exit_code == 0
    password = answer.stdout.strip()
    assert status_of_sign_in(server, "bob@example.com", password) == 204
    assert password not in answer.stderr
    reset = run(server, "reset-password", "bob")
    assert status_of_sign_in(server, "bob@example.com", password) == 401
    assert status_of_sign_in(server, "bob@example.com", reset.stdout.strip()) == 204


def test_a_password_is_read_from_standard_input(server: StartedServer) -> None:
    made = told(server, "create", "eve@example.com", "--password-stdin", typed=PASSWORD + "\n")
    assert "password" not in made
    session = server.sign_in("eve@example.com", PASSWORD)
    other = "another-on-Standard-input-9"
    told(server, "reset-password", made["id"], "--password-stdin", typed=other)
    assert session.get("/v1/user").status_code == 401
    assert status_of_sign_in(server, "eve@example.com", other) == 204
    weak = run(server, "reset-password", "eve", "--password-stdin", typed="password1234")
    assert weak.exit_code == 1
    assert "common" in weak.stderr


def test_roles_activity_and_sessions_change_at_once(server: StartedServer) -> None:
    password = told(server, "create", "kim@example.com")["password"]
    server.sign_in("kim@example.com", password)
    session = server.sign_in("kim@example.com", password)
    shown = told(server, "sessions", "kim@example.com")
    assert len(shown["sessions"]) == 2
    assert {"created_at", "address", "user_agent"} < set(shown["sessions"][0])
    assert told(server, "sessions", "kim", "--end")["ended"] is True
    assert session.get("/v1/user").status_code == 401
    assert told(server, "sessions", "kim") == {"sessions": [], "ended": False}
    assert told(server, "set-role", "kim", "admin")["role"] == "ADMIN"
    assert told(server, "disable", "kim")["active"] is False
    assert status_of_sign_in(server, "kim@example.com", password) == 401
    assert told(server, "enable", "kim")["active"] is True
    assert status_of_sign_in(server, "kim@example.com", password) == 204
    gone = told(server, "delete", "kim")
    assert gone["deleted"] is True
    assert status_of_sign_in(server, "kim@example.com", password) == 401


@pytest.mark.asvs("6.4.1")
@pytest.mark.parametrize("length", [40, 1023, 1024])
def test_a_password_that_is_made_keeps_the_rules_of_the_server(
    server: StartedServer, length: int
) -> None:
    strong = {
        "PHOENIX_ENABLE_STRONG_PASSWORD_POLICY": "true",
        "PHOENIX_PASSWORD_MIN_LENGTH": str(length),
    }
    write_env_file(server, **strong)
    try:
        password = told(server, "create", f"strong{length}@example.com")["password"]
    finally:
        write_env_file(server)
    assert length <= len(password) <= 1024
    for kind in ("[0-9]", "[a-z]", "[A-Z]", "[!@#$%^&*()_+]"):
        assert re.search(kind, password)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("create", "nonsense"), 1),
        (("create", "x@example.com", "--role", "SYSTEM"), 1),
        (("create", "x@example.com", "--role", "nope"), 1),
        (("create", "x@example.com", "--auth-method", "MAGIC"), 2),
        (("create",), 2),
        (("set-role", "nobody", "MEMBER"), 1),
        (("set-role", ADMIN_EMAIL, "MEMBER"), 1),
        (("disable", ADMIN_EMAIL), 1),
        (("delete", ADMIN_EMAIL), 1),
        (("delete", "system@localhost"), 1),
        (("reset-password", "system@localhost"), 1),
        (("sessions", "nobody"), 1),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    server: StartedServer, arguments: tuple[str, ...], exit_code: int
) -> None:
    answer = run(server, *arguments)
    assert (answer.exit_code, answer.stdout) == (exit_code, "")
    assert answer.stderr


def test_everything_is_recorded_as_done_at_the_console(server: StartedServer) -> None:
    told(server, "create", "rec@example.com")
    query = {"event": "user.created", "limit": 1}
    (record,) = server.admin().get("/v1/audit_events", params=query).json()["data"]
    assert (record["actor"]["kind"], record["target"]["name"]) == ("console", "rec")


def test_it_works_while_the_server_is_down_and_not_where_there_are_no_passwords(
    tmp_path: Path,
) -> None:
    with StartedServer(tmp_path) as server:
        write_env_file(server)
        server.terminate()
        password = told(server, "reset-password", ADMIN_EMAIL)["password"]
        server.start()
        assert status_of_sign_in(server, ADMIN_EMAIL, password) == 204
        provider = {
            "PHOENIX_DISABLE_BASIC_AUTH": "true",
            "PHOENIX_OAUTH2_GOOGLE_CLIENT_ID": "c",
            "PHOENIX_OAUTH2_GOOGLE_CLIENT_SECRET": "s",
            "PHOENIX_OAUTH2_GOOGLE_OIDC_CONFIG_URL": "https://accounts.example.com/x",
        }
        write_env_file(server, **provider)
        assert run(server, "reset-password", ADMIN_EMAIL).exit_code == 1
        assert run(server, "create", "x@example.com").exit_code == 1
        assert run(server, "create", "x@example.com", "--auth-method", "oauth2").exit_code == 0


def test_all_pages_of_a_long_list_are_shown(
    server: StartedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [user["id"] for user in told(server, "list")]
    for page in (1, 2, len(whole) - 1, len(whole)):
        monkeypatch.setattr(user_module, "_PAGE", page)
        assert [user["id"] for user in told(server, "list")] == whole
