"""The pages about backups and about coming from elsewhere, run as they are printed.

Spec: lines 239-244 (backups), 265 (an erased person does not come back with a backup).
"""

import os
import sys
from pathlib import Path

import pytest

from doc_commands import ROOT, Block, blocks_of, samples_of
from fakes.exports import export_request
from started import ADMIN_SECRET, PASSWORD, StartedServer

BIN = Path(sys.executable).parent
GONE = "gone@example.com"


def environment(**more: str) -> dict[str, str]:
    return {"PATH": f"{BIN}:{os.defpath}", "LC_ALL": "C.UTF-8", **more}


def section(heading: str) -> list[Block]:
    """Return the shell blocks of one section of the page about backups."""
    text = (ROOT / "docs/operations/backup.md").read_text("utf-8")
    return samples_of(text.split(f"\n## {heading}\n")[1].split("\n## ")[0])


def test_the_page_has_these_blocks_and_no_others() -> None:
    both = [*section("SQLite"), *section("PostgreSQL")]
    assert [block.text for block in blocks_of("docs/operations/backup.md")] == [
        block.text for block in both
    ]


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_a_restored_backup_is_whole_and_brings_nobody_back(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    is_postgres = kind == "PostgreSQL"
    url = request.getfixturevalue("postgres_url") if is_postgres else ""
    server = StartedServer(tmp_path, {"PHOENIX_SQL_DATABASE_URL": url})
    settings = "".join(f"{name}='{value}'\n" for name, value in server.env.items() if value)
    (tmp_path / "bennu.env").write_text(settings)
    (tmp_path / "bennu.env").chmod(0o600)
    backup, stop, restore, start, *after = section(kind)
    assert ["stop" in stop.text, "start" in start.text] == [True, True]
    with server:
        admin, key = server.admin(), server.api_key()
        gone = {"email": GONE, "role": "MEMBER", "auth_method": "LOCAL", "password": PASSWORD}
        body = {"user": {**gone, "username": "gone"}, "send_welcome_email": False}
        made = admin.post("/v1/users", json=body).json()["data"]
        _send(server, key, "before")
        backup.run(tmp_path, environment())
        _send(server, key, "after")
        erased = admin.delete(f"/v1/users/{made['id']}", params={"erase": "true"})
        assert erased.status_code == 204, erased.text
        server.terminate()
        restore.run(tmp_path, environment())
        server.start()
        told = "".join(block.run(tmp_path, environment()) for block in after)
        assert "The audit trail is whole" in told
        with server.client(key) as reader:
            names = {project["name"] for project in reader.get("/v1/projects").json()["data"]}
        assert "before" in names
        assert "after" not in names
        users = server.client(ADMIN_SECRET).get("/v1/users").json()["data"]
        assert GONE not in {user["email"] for user in users}


def _send(server: StartedServer, key: str, project: str) -> None:
    with server.client(key) as exporter:
        answer = exporter.post(
            "/v1/traces",
            content=export_request(1, 2, project=project),
            headers={"content-type": "application/x-protobuf"},
        )
    assert answer.status_code == 200


def test_traces_are_copied_from_one_server_to_another(tmp_path: Path) -> None:
    (copying,) = [
        block
        for block in samples_of((ROOT / "docs/migration.md").read_text("utf-8"))
        if block.language == "python"
    ]
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with StartedServer(tmp_path / "old") as old, StartedServer(tmp_path / "new") as new:
        old_key, new_key = old.api_key(), new.api_key()
        for project in ("one", "two"):
            _send(old, old_key, project)
        (tmp_path / "copying.py").write_text(copying.text)
        env = environment(
            OLD_URL=old.base_url, OLD_KEY=old_key, NEW_URL=new.base_url, NEW_KEY=new_key
        )
        Block("python copying.py", "").run(tmp_path, env)
        with new.client(new_key) as reader, old.client(old_key) as source:
            for project in ("one", "two"):
                path = f"/v1/projects/{project}/spans"
                copied, given = reader.get(path).json()["data"], source.get(path).json()["data"]
                assert {s["context"]["span_id"] for s in copied} == {
                    s["context"]["span_id"] for s in given
                }
                assert len(copied) == 2
