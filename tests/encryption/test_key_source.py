"""Where the secret comes from. Spec: 158-163, 178."""

import stat
import threading
from pathlib import Path

import pytest

from bennu.encryption.cipher import Cipher
from bennu.encryption.key_source import (
    EnvironmentKeySource,
    EphemeralKeySource,
    FileKeySource,
    KeyFileError,
    choose_key_source,
)
from bennu.encryption.secret import secret_problems
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret

GIVEN = Secret("0123456789abcdef0123456789abcdef")
OLDER = Secret("fedcba9876543210fedcba9876543210")


@pytest.mark.asvs("13.3.2")
def test_without_a_secret_a_private_key_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bennu.key"
    source = choose_key_source(None, (), path, SystemEntropy())
    assert isinstance(source, FileKeySource)
    first = source.key_material().current
    assert secret_problems(first.reveal()) == ()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert source.key_material().current == first
    assert [file.name for file in path.parent.iterdir()] == ["bennu.key"]


def test_servers_that_start_at_once_agree_on_one_file(tmp_path: Path) -> None:
    path, found = tmp_path / "bennu.key", []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait()
        found.append(FileKeySource(path, SystemEntropy()).key_material().current.reveal())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {path.read_text().strip()}


def test_a_secret_given_later_adopts_what_the_file_sealed(tmp_path: Path) -> None:
    path = tmp_path / "bennu.key"
    sealed = Cipher(FileKeySource(path, SystemEntropy()).key_material().keyring()).seal("kept")
    source = choose_key_source(GIVEN, (OLDER,), path, SystemEntropy())
    material = source.key_material()
    assert material.current == GIVEN
    assert material.previous == (OLDER, Secret(path.read_text().strip()))
    cipher = Cipher(material.keyring())
    assert cipher.open(sealed) == b"kept"
    assert cipher.seal("new").split(":")[0] != sealed.split(":")[0]


def test_without_a_file_only_what_was_given_counts(tmp_path: Path) -> None:
    material = EnvironmentKeySource(GIVEN, (OLDER,), tmp_path / "absent.key").key_material()
    assert material.previous == (OLDER,)
    assert not (tmp_path / "absent.key").exists()


class Unlucky:
    """Randomness whose first results make no acceptable secret."""

    def __init__(self) -> None:
        self.calls = 0

    def bytes(self, count: int) -> bytes:
        self.calls += 1
        return b"\0" * count if self.calls < 3 else SystemEntropy().bytes(count)


def test_a_random_secret_obeys_the_rules_too(tmp_path: Path) -> None:
    entropy = Unlucky()
    made = FileKeySource(tmp_path / "bennu.key", entropy).key_material().current
    assert secret_problems(made.reveal()) == ()
    assert entropy.calls >= 3


def test_a_database_in_memory_gets_a_secret_that_nobody_keeps() -> None:
    source = choose_key_source(None, (), None, SystemEntropy())
    assert isinstance(source, EphemeralKeySource)
    assert source.key_material().current != source.key_material().current


@pytest.mark.parametrize("content", [b"", b"too-short1", b"\xff" * 64, b"A" * 64])
def test_a_spoiled_key_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bennu.key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"bennu\.key holds no usable secret"):
        FileKeySource(path, SystemEntropy()).key_material()
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(KeyFileError, match="PHOENIX_WORKING_DIR"):
        FileKeySource(Path("/proc/none/bennu.key"), SystemEntropy()).key_material()


def test_a_key_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        FileKeySource(tmp_path, SystemEntropy()).key_material()
