"""``bennu health``: what it says without a server; with one: tests/spec/test_08_tls.py."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from bennu.cli.main import main


def run(folder: Path, *arguments: str) -> Result:
    env = {"PHOENIX_WORKING_DIR": str(folder), "PHOENIX_PORT": "6007"}
    return CliRunner().invoke(main, ["health", *arguments], env=env)


def test_no_server_is_a_status(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 1
    assert f"no server: there is no {tmp_path / 'bennu-6007.sock'}" in done.stderr


def test_as_json(tmp_path: Path) -> None:
    done = run(tmp_path, "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert "no server" in document["reason"]


def test_wrong_settings_are_wrong_usage(tmp_path: Path) -> None:
    assert run(tmp_path, "--env-file", str(tmp_path / "none")).exit_code == 2
