"""``bennu key``: shapes that scripts rely on. Spec: lines 134-155."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from bennu.cli.main import main
from started import ADMIN_EMAIL, StartedServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    folder = tmp_path_factory.mktemp("key")
    with StartedServer(folder) as started:
        lines = [f"{name}={value}" for name, value in started.env.items()]
        (folder / "bennu.env").write_text("\n".join(lines) + "\n")
        yield started


def run(server: StartedServer, *arguments: str, typed: str = "") -> Result:
    env_file = str(server.folder / "bennu.env")
    return CliRunner().invoke(main, ["key", *arguments, "--env-file", env_file], input=typed)


def told(server: StartedServer, *arguments: str, typed: str = "") -> Any:
    answer = run(server, *arguments, "--json", typed=typed)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def status(server: StartedServer, key: str, path: str = "/v1/projects") -> int:
    with server.client(key) as client:
        return client.get(path).status_code


def test_a_key_of_a_service_account_is_made_and_revoked_beside_the_server(
    server: StartedServer,
) -> None:
    made = told(server, "create", "reporting", "--role", "viewer", "--description", "d")
    assert set(made) == {"kind", "id", "name", "description", "created_at", "role", "key"}
    assert (made["kind"], made["role"]) == ("system", "VIEWER")
    assert status(server, made["key"]) == 200
    assert status(server, made["key"], "/v1/users") == 403
    assert told(server, "revoke", made["id"]) == {"id": made["id"], "revoked": True}
    assert status(server, made["key"]) == 401
    assert run(server, "revoke", made["id"]).exit_code == 1


def test_standard_output_is_the_key_alone(server: StartedServer) -> None:
    answer = run(server, "create", "exporter", "--ingest-only", "--project", "default")
    assert answer.exit_code == 0
    key = answer.stdout.strip()
    assert key.startswith("bnu_sk_")
    assert key not in answer.stderr
    assert status(server, key) == 403
    (listed,) = [k for k in told(server, "list", "--system") if k["name"] == "exporter"]
    assert listed["permissions"] == ["traces:ingest"]
    assert len(listed["projects"]) == 1
    assert "key" not in listed


def test_a_key_of_a_user_acts_as_that_user(server: StartedServer) -> None:
    made = told(server, "create", "mine", "--user", ADMIN_EMAIL, "--expires-in-days", "3")
    assert made["user"]["email"] == ADMIN_EMAIL
    assert made["expires_at"] > made["created_at"]
    assert status(server, made["key"], "/v1/users") == 200
    listed = told(server, "list", "--user", ADMIN_EMAIL.upper())
    assert made["id"] in {k["id"] for k in listed}
    assert {k["user"]["email"] for k in listed} == {ADMIN_EMAIL}
    assert told(server, "list", "--user", "nobody@example.com") == []
    assert made["id"] not in {k["id"] for k in told(server, "list", "--system")}
    assert made["id"] in {k["id"] for k in told(server, "list")}


def test_people_read_one_line_for_each_key(server: StartedServer) -> None:
    made = told(server, "create", "read", "--permission", "projects:read", "--project", "default")
    assert status(server, made["key"]) == 200
    answer = run(server, "list", "--system")
    (line,) = [line for line in answer.stdout.splitlines() if made["id"] in line]
    for part in ("service account, SYSTEM", "projects:read", "  1 project"):
        assert part in line
    assert "is revoked" in run(server, "identify", "--revoke", made["key"]).stdout
    assert made["id"] not in run(server, "list").stdout
    again = told(server, "create", "again", "--expires-in-days", "1")
    assert "ends " in run(server, "list", "--system").stdout
    assert "is revoked" in run(server, "revoke", again["id"]).stdout


def test_a_found_key_is_identified_and_revoked(server: StartedServer) -> None:
    made = told(server, "create", "leaked")
    found = told(server, "identify", typed=made["key"] + "\n")
    assert (found["id"], found["kind"], found["revoked"]) == (made["id"], "system", False)
    by_argument = run(server, "identify", made["key"])
    assert f"bennu key revoke {made['id']}" in by_argument.stdout
    assert made["key"] not in by_argument.output
    assert status(server, made["key"]) == 200
    assert told(server, "identify", "--revoke", typed=made["key"])["revoked"] is True
    assert status(server, made["key"]) == 401
    gone = run(server, "identify", typed=made["key"])
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert run(server, "identify", typed="nonsense").exit_code == 1


def test_a_rotated_key_ends_when_it_is_told_to(server: StartedServer) -> None:
    for user in ((), ("--user", ADMIN_EMAIL)):
        old = told(server, "create", "old", *user)
        new = told(server, "rotate", old["id"], "--overlap-minutes", "10")
        assert {status(server, key["key"]) for key in (old, new)} == {200}
        last = told(server, "rotate", new["id"], "--overlap-minutes", "0")
        assert (status(server, new["key"]), status(server, last["key"])) == (401, 200)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("create",), 2),
        (("create", "k", "--permission", "traces:fly"), 2),
        (("create", "k", "--permission", "traces:read", "--ingest-only"), 2),
        (("create", "k", "--user", ADMIN_EMAIL, "--role", "VIEWER"), 2),
        (("create", "k", "--expires-in-days", "0"), 2),
        (("list", "--user", ADMIN_EMAIL, "--system"), 2),
        (("rotate", "x"), 2),
        (("create", " "), 1),
        (("create", "k", "--role", "KING"), 1),
        (("create", "k", "--project", "nowhere"), 1),
        (("create", "k", "--user", "nobody@example.com"), 1),
        (("revoke", "x"), 1),
        (("revoke", "VXNlcjox"), 1),
        (("rotate", "VXNlckFwaUtleTo5OTk=", "--overlap-minutes", "1"), 1),
    ],
)
def test_what_is_wrong_is_said_by_the_status(
    server: StartedServer, arguments: tuple[str, ...], exit_code: int
) -> None:
    answer = run(server, *arguments)
    assert (answer.exit_code, answer.stdout) == (exit_code, "")
    assert answer.stderr


def test_it_is_recorded_as_done_at_the_console(server: StartedServer) -> None:
    made = told(server, "create", "recorded")
    query = {"event": "api_key.created", "limit": 1}
    with server.client(server.env["PHOENIX_ADMIN_SECRET"]) as client:
        (record,) = client.get("/v1/audit_events", params=query).json()["data"]
    assert record["actor"]["kind"] == "console"
    assert record["target"]["id"] == made["id"]


def test_it_works_with_the_server_down(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        (tmp_path / "bennu.env").write_text(
            "\n".join(f"{name}={value}" for name, value in server.env.items())
        )
        used = told(server, "create", "used")
        assert "last_used_at" not in told(server, "list")[0]
        assert status(server, used["key"]) == 200
        assert server.terminate()[0] == 0
        # What was not written yet is written when the server ends.
        (listed,) = told(server, "list")
        assert listed["last_used_address"] == "127.0.0.1"
        made = told(server, "create", "down", "--ingest-only")
        assert [k["id"] for k in told(server, "list")] == [made["id"], used["id"]]
        server.start()
        headers = {"authorization": f"Bearer {made['key']}"}
        assert httpx.get(f"{server.base_url}/v1/projects", headers=headers).status_code == 403
