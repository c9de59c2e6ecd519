"""Pages for operators: each command is run as it is printed. Spec: lines 178, 245-260."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doc_commands import blocks_of
from started import ADMIN_SECRET, StartedServer

BIN = str(Path(sys.executable).parent)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StartedServer]:
    """A server whose settings are in ``bennu.env`` alone, as the pages have it."""
    server = StartedServer(tmp_path, {"PHOENIX_LOGGING_MODE": "structured"})
    env_file = tmp_path / "bennu.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in server.env.items()))
    env_file.chmod(0o600)
    with server:
        yield server


def environment(server: StartedServer) -> dict[str, str]:
    return {
        "PATH": f"{BIN}:{os.defpath}",
        "URL": server.base_url,
        "KEY": ADMIN_SECRET,
        "LC_ALL": "C.UTF-8",
    }


def read_env_file(server: StartedServer) -> None:
    """Take the settings that the page has written, as a restarted service would."""
    lines = (server.folder / "bennu.env").read_text().splitlines()
    server.env = dict(line.split("=", 1) for line in lines)


def test_the_page_about_the_audit_trail(server: StartedServer) -> None:
    server.admin()
    bad = {"email": "nobody@example.com", "password": "x"}
    assert server.client().post("/auth/login", json=bad).status_code == 401
    blocks = blocks_of("docs/operations/audit.md")
    assert [block for block in blocks if block.not_run] == []
    server.wait_for_log("audit.checkpoint")
    printed = [block.run(server.folder, environment(server)) for block in blocks]
    told = "\n".join(printed)
    assert told.count("The audit trail is whole") == 3
    assert '"auth.sign_in.failed"' in (server.folder / "failed.ndjson").read_text()
    assert len((server.folder / "trail.ndjson").read_text().splitlines()) > 4
    assert '"auth.password.changed"' in told


@pytest.mark.asvs("11.1.1")
def test_the_page_about_rotating_secrets(server: StartedServer) -> None:
    session, key = server.admin(), server.api_key()
    first_secret = server.env["PHOENIX_SECRET"]
    printed, restarts = [], 0
    for block in blocks_of("docs/operations/rotation.md"):
        if block.not_run:
            assert "systemctl restart" in block.text
            restarts += 1
            assert server.terminate()[0] == 0
            read_env_file(server)
            server.start()
        else:
            printed.append(block.run(server.folder, environment(server)))
        assert session.get("/v1/user").status_code == 200
        with server.client(key) as program:
            assert program.get("/v1/projects").status_code == 200
    assert restarts == 2
    assert server.env["PHOENIX_SECRET"] != first_secret
    assert "PHOENIX_SECRET_PREVIOUS" not in server.env
    told = "\n".join(printed)
    assert "values would be re-sealed" in told
    assert "The old secret may go now" in told
    assert "The audit trail is whole" in told
    assert '"secret.rotated"' in told
