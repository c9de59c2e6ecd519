"""``bennu ldap``."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bennu.cli.main import main
from fakes.directories import mapped
from peers.slapd import GROUPS, PEOPLE, SlapdServer
from started import SECRET, StartedServer

MAPPINGS = mapped(
    (f"cn=phoenix-admins,{GROUPS}", "ADMIN"), (f"cn=phoenix-users,{GROUPS}", "MEMBER")
)


def run(env: dict[str, str], *arguments: str, stdin: str = "") -> Result:
    kept = {name: None for name in os.environ if name.startswith("PHOENIX_")}
    given = {**kept, "PHOENIX_SECRET": SECRET, **env}
    return CliRunner().invoke(main, ["ldap", *arguments], env=given, input=stdin)


def test_a_try_that_goes_well(slapd: SlapdServer) -> None:
    done = run(slapd.env(GROUP_ROLE_MAPPINGS=MAPPINGS), "test", "alice", stdin="alicepw\n")
    assert done.exit_code == 0, done.output
    assert "role  ADMIN" in done.stdout
    assert "FAIL" not in done.stdout
    assert "alicepw" not in done.output


def test_a_try_as_json(slapd: SlapdServer) -> None:
    done = run(slapd.env(), "test", "alice", "--json", stdin="wrong\n")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found.keys() == {"ok", "role", "steps"}
    assert (found["ok"], found["role"]) == (False, "VIEWER")
    assert {tuple(step) for step in found["steps"]} == {
        ("step", "ok", "seconds", "detail", "variables")
    }
    bad = [step for step in found["steps"] if not step["ok"]]
    assert [step["step"] for step in bad] == ["user_bind"]


def test_a_fault_names_the_variable(slapd: SlapdServer) -> None:
    done = run(slapd.env(BIND_PASSWORD="x-secret-x"), "test", "alice", stdin="alicepw\n")
    assert done.exit_code == 1
    assert "FAIL  service_bind" in done.stdout
    assert "look at PHOENIX_LDAP_BIND_DN, PHOENIX_LDAP_BIND_PASSWORD" in done.stdout
    assert "x-secret-x" not in done.output


def test_without_a_directory_the_commands_say_so() -> None:
    for arguments in (("test", "alice"), ("sync",)):
        done = run({}, *arguments)
        assert done.exit_code == 2
        assert "PHOENIX_LDAP_HOST" in done.stderr


def test_without_the_library_the_command_says_how_to_install_it(
    slapd: SlapdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "ldap" else found(name)
    )
    done = run(slapd.env(), "test", "alice", stdin="alicepw\n")
    assert done.exit_code == 1
    assert "pip install 'bennu[ldap]'" in done.stderr


def sync(server: StartedServer, *arguments: str) -> dict[str, Any]:
    done = run(server.env, "sync", "--json", *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_comparison_beside_a_running_server(own_slapd: SlapdServer, tmp_path: Path) -> None:
    env = own_slapd.env(GROUP_ROLE_MAPPINGS=MAPPINGS, SYNC_INTERVAL_MINUTES="0")
    with StartedServer(tmp_path, env) as server:
        bob = server.client()
        body = {"username": "bob", "password": "bobpw"}
        assert bob.post("/auth/ldap/login", json=body).status_code == 204
        key = server.api_key(bob)
        assert sync(server) == {"checked": 1, "refused": "", "detail": "", "changes": []}
        own_slapd.set_values(f"cn=phoenix-users,{GROUPS}", "member", f"uid=alice,{PEOPLE}")
        expected = [
            {
                "username": "Bob (Ops) *Star*",
                "active": False,
                "reason": "no_mapped_group",
                "role": None,
            }
        ]
        assert sync(server, "--dry-run")["changes"] == expected
        assert bob.get("/v1/user").status_code == 200
        assert sync(server)["changes"] == expected
        assert bob.get("/v1/user").status_code == 401
        assert server.client(key).get("/v1/projects").status_code == 401
        records = server.admin().get("/v1/audit_events", params={"event": "ldap.synced"}).json()
        assert {record["actor"]["kind"] for record in records["data"]} == {"console"}
        own_slapd.stop()
        away = run(server.env, "sync")
        assert away.exit_code == 1
        assert "nothing was changed: directory_unavailable" in away.stderr
