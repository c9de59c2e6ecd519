"""The vault for commands. Spec: lines 156-163, 175-177."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bennu.cli.vault import open_vault
from bennu.encryption.key_source import KeyFileError
from fakes.settings import OTHER_SECRET, SECRET, read_settings

PROBE = """
import resource
from bennu.cli.vault import open_vault
from bennu.kernel.env_file import env_of
from bennu.settings import Settings
values = {"PHOENIX_SECRET": "%s", "PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:"}
open_vault(Settings.from_env(env_of(values)))
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_the_secrets_of_the_environment_open_what_they_sealed(tmp_path: Path) -> None:
    work = {"PHOENIX_WORKING_DIR": str(tmp_path)}
    before = open_vault(read_settings(work, PHOENIX_SECRET=OTHER_SECRET))
    after = open_vault(
        read_settings(work, PHOENIX_SECRET=SECRET, PHOENIX_SECRET_PREVIOUS=OTHER_SECRET)
    )
    assert after.cipher.open(before.cipher.seal("kept")) == b"kept"
    assert after.cipher.current_key_id != before.cipher.current_key_id


def test_a_command_makes_no_key_file(tmp_path: Path) -> None:
    settings = read_settings(PHOENIX_WORKING_DIR=str(tmp_path))
    with pytest.raises(KeyFileError, match="neither PHOENIX_SECRET nor a key file"):
        open_vault(settings)
    assert list(tmp_path.iterdir()) == []
    key_file = tmp_path / "bennu.key"
    key_file.write_text(SECRET)
    sealed = open_vault(settings).cipher.seal("x")
    assert open_vault(read_settings(PHOENIX_SECRET=SECRET)).cipher.open(sealed) == b"x"


def test_a_command_that_holds_keys_leaves_no_core_dump() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    done = subprocess.run(
        [sys.executable, "-c", PROBE % SECRET],
        env={"PATH": os.defpath},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "(0, 0)", done.stderr
