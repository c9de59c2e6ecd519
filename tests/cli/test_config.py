"""``bennu config check`` and ``bennu config list``."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from bennu.cli.main import main
from bennu.settings import VARIABLES


@pytest.fixture(autouse=True)
def _no_settings_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("PHOENIX_")]:
        monkeypatch.delenv(name)


def test_good_settings_end_with_0(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    path.write_text("PHOENIX_PORT = 7000\n")
    answer = CliRunner().invoke(main, ["config", "check", "--env-file", str(path)])
    assert (answer.exit_code, answer.stdout) == (0, "settings are good, 0 warnings\n")


def test_wrong_settings_end_with_2_and_say_all(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    path.write_text("PHOENIX_PORT = x\n\nPHOENIX_ENABLE_AUTH = yes\n")
    answer = CliRunner().invoke(main, ["config", "check", "--env-file", str(path)])
    assert answer.exit_code == 2
    assert (
        f"PHOENIX_PORT: a whole number from 1 to 65535 (read: x, from: {path}:1)" in answer.stderr
    )
    assert f"PHOENIX_ENABLE_AUTH: true or false (read: yes, from: {path}:3)" in answer.stderr
    assert answer.stdout == "2 errors, 0 warnings\n"


def test_json_has_the_fixed_shape_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    path.write_text("PHOENIX_PORT = x\nPHOENIX_TELEMETRY_ENABLED = false\n")
    answer = CliRunner().invoke(main, ["config", "check", "--json", "--env-file", str(path)])
    assert answer.exit_code == 2
    assert answer.stderr == ""
    assert json.loads(answer.stdout) == {
        "errors": [
            {
                "name": "PHOENIX_PORT",
                "read": "x",
                "allowed": "a whole number from 1 to 65535",
                "source": f"{path}:1",
            }
        ],
        "warnings": [
            {
                "name": "PHOENIX_TELEMETRY_ENABLED",
                "read": "false",
                "allowed": "accepted, and without effect: Bennu does not have this feature",
                "source": f"{path}:2",
            }
        ],
    }


def test_json_of_good_settings() -> None:
    answer = CliRunner().invoke(main, ["config", "check", "--json"])
    assert (answer.exit_code, json.loads(answer.stdout)) == (0, {"errors": [], "warnings": []})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["config", "check", "--env-file", str(tmp_path / "none")])
    assert answer.exit_code == 2
    assert str(tmp_path / "none") in answer.stderr


def test_the_list_holds_every_variable() -> None:
    answer = CliRunner().invoke(main, ["config", "list", "--json"])
    rows = json.loads(answer.stdout)
    assert answer.exit_code == 0
    assert [row["name"] for row in rows] == [v.name for v in VARIABLES]
    assert all(set(row) == {"name", "type", "default", "meaning", "spec_line"} for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert by_name["PHOENIX_ENABLE_AUTH"]["spec_line"] == 10


def test_the_list_can_be_read_by_people() -> None:
    answer = CliRunner().invoke(main, ["config", "list"])
    assert answer.exit_code == 0
    assert all(v.name in answer.stdout and v.meaning in answer.stdout for v in VARIABLES)
