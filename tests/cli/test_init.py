"""``bennu init``: the file, its mode, and that nothing is overwritten."""

import re
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bennu.cli.init import draw_password, draw_secret, env_file_text
from bennu.cli.main import main
from bennu.encryption.secret import secret_problems
from bennu.kernel.env_file import EnvFile, env_of
from bennu.kernel.ids import SystemEntropy
from bennu.settings import Settings


def init(path: Path) -> Result:
    return CliRunner().invoke(main, ["init", "--env-file", str(path)])


def values_of(path: Path) -> dict[str, str]:
    file = EnvFile(path.read_text(), "f", {})
    assert file.problems == []
    return {name: value.text for name, value in file.values.items()}


def test_the_file_switches_authentication_on_with_good_secrets(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    answer = init(path)
    assert answer.exit_code == 0, answer.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = values_of(path)
    settings = Settings.from_env(env_of({}, EnvFile(path.read_text(), "f", {})))
    assert settings.auth.enabled
    assert secret_problems(values["PHOENIX_SECRET"]) == ()
    assert settings.storage.working_dir == tmp_path / ".bennu"
    password = values["PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"]
    assert re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[_+])[A-Za-z0-9_+]{20}", password)


def test_the_secret_is_not_printed_and_the_password_is(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    output = init(path).output
    values = values_of(path)
    assert values["PHOENIX_SECRET"] not in output
    assert values["PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"] in output


def test_two_files_share_nothing(tmp_path: Path) -> None:
    init(tmp_path / "1")
    init(tmp_path / "2")
    one, two = values_of(tmp_path / "1"), values_of(tmp_path / "2")
    for name in ("PHOENIX_SECRET", "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"):
        assert one[name] != two[name]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_exists_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.env"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    answer = init(path)
    assert answer.exit_code == 1
    assert "exists" in answer.output
    assert not (tmp_path / "elsewhere").exists()
    if kind == "file":
        assert path.read_text() == "mine"


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    answer = init(tmp_path / "none" / "x.env")
    assert answer.exit_code == 1
    assert "cannot be written" in answer.output


def test_the_default_file_is_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init"]).exit_code == 0
    assert (tmp_path / "bennu.env").is_file()


def test_a_shell_reads_what_we_read(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    init(path)
    script = (
        f". {path}; for n in SECRET DEFAULT_ADMIN_INITIAL_PASSWORD WORKING_DIR ENABLE_AUTH; do "
    )
    script += 'eval "printf \'%s\\n\' \\"PHOENIX_$n=\\$PHOENIX_$n\\""; done'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={})
    assert dict(line.split("=", 1) for line in shell.stdout.splitlines()) == values_of(path)


def test_docker_reads_what_we_read(tmp_path: Path) -> None:
    path = tmp_path / "x.env"
    init(path)
    # docker takes everything behind the first "=" as it is and knows no quotes.
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Z_0-9]+=[A-Za-z0-9/._+-]+", line) for line in lines)
    assert dict(line.split("=", 1) for line in lines) == values_of(path)


def test_a_folder_that_would_need_quotes_is_left_out() -> None:
    text = env_file_text("s", "p", Path("/home/a b/.bennu"))
    assert "PHOENIX_WORKING_DIR" not in text


class Scripted:
    """Hands out given bytes, one request after the other."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)

    def bytes(self, count: int) -> bytes:
        part = next(self._parts)
        assert len(part) == count
        return part


def test_a_secret_that_breaks_a_rule_is_drawn_again() -> None:
    good = bytes(range(100, 132))
    assert draw_secret(Scripted([b"\0" * 32, good])) == draw_secret(Scripted([good]))


def test_a_password_without_every_class_is_drawn_again() -> None:
    only_lower = [b"\0"] * 20
    every_class = [bytes([n]) for n in (0, 26, 52, 62, *range(1, 17))]
    drawn = draw_password(Scripted([*only_lower, *every_class]))
    assert drawn == "aA0_bcdefghijklmnopq"


def test_many_draws_all_meet_the_rules() -> None:
    for _ in range(200):
        assert secret_problems(draw_secret(SystemEntropy())) == ()
        assert len(draw_password(SystemEntropy())) == 20
