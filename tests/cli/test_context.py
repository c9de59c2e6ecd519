"""Environment and env file become Settings, or every problem and status 2."""

import json
from pathlib import Path

import pytest

from bennu.cli.context import load_settings, process_environment, read_env


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    path.write_text("PHOENIX_PORT = 7000\nPHOENIX_GRPC_PORT = 7001\n")
    env = read_env(path, {"PHOENIX_PORT": "8000"})
    assert (env.raw("PHOENIX_PORT"), env.source_of("PHOENIX_PORT")) == ("8000", "environment")
    assert env.source_of("PHOENIX_GRPC_PORT") == f"{path}:2"


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOENIX_PORT", "7000")
    assert process_environment()["PHOENIX_PORT"] == "7000"
    assert load_settings(None).network.port == 7000


@pytest.mark.parametrize(
    "content", [None, b"\xff\xfe", b"A=\0", b"#" * 1_100_000], ids=["none", "utf", "nul", "long"]
)
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.env"
    if content is not None:
        path.write_bytes(content)
    env = read_env(path, {})
    assert [(p.name, p.read) for p in env.problems] == [("--env-file", str(path))]


def test_a_folder_is_no_env_file(tmp_path: Path) -> None:
    assert [p.name for p in read_env(tmp_path, {}).problems] == ["--env-file"]


def test_wrong_settings_are_all_printed_and_end_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.env"
    path.write_text("PHOENIX_PORT = x\nPHOENIX_SECRET = hunter2\nPHOENIX_SECERT = hunter2\n")
    with pytest.raises(SystemExit) as ended:
        load_settings(path)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "error: PHOENIX_PORT" in printed.err
    assert "error: PHOENIX_SECRET" in printed.err
    assert "warning: PHOENIX_SECERT" in printed.err
    assert "hunter2" not in printed.err


def test_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.env"
    path.write_text("PHOENIX_PORT = x\n")
    with pytest.raises(SystemExit):
        load_settings(path, as_json=True)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert [e["name"] for e in json.loads(printed.out)["errors"]] == ["PHOENIX_PORT"]
