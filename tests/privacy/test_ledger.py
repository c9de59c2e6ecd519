"""Erasures are remembered outside the database, and nobody else can write them. Spec: 265."""

import stat
from pathlib import Path

import msgspec
import pytest

from bennu.privacy.ledger import (
    ErasureLedger,
    LedgerEntry,
    LedgerError,
    authenticated,
    is_authentic,
    subject_digest,
)

KEY = b"k" * 32


def entry(name: str) -> LedgerEntry:
    digest = subject_digest(KEY, ("attribute", "user.id", "ann@example.com"))
    return authenticated(KEY, LedgerEntry(name, "attribute", "user.id", (digest,), 7))


def test_it_keeps_each_entry_once_and_no_person(tmp_path: Path) -> None:
    ledger = ErasureLedger(tmp_path / "deep" / "erasures.ledger")
    assert ledger.entries() == ()
    for name in ("a", "b", "a"):
        ledger.remember(entry(name))
    assert ledger.entries() == (entry("a"), entry("b"))
    assert b"ann" not in ledger.path.read_bytes()
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


def test_a_line_that_a_crash_tore_spoils_no_other(tmp_path: Path) -> None:
    ledger = ErasureLedger(tmp_path / "erasures.ledger")
    ledger.remember(entry("a"))
    with ledger.path.open("ab") as file:
        file.write(b'{"id":"torn')
    ledger.remember(entry("b"))
    assert [one.id for one in ledger.entries()] == ["a", "b"]


def test_what_another_key_wrote_is_not_authentic() -> None:
    assert is_authentic(KEY, entry("a"))
    assert not is_authentic(b"x" * 32, entry("a"))
    changed = msgspec.structs.replace(entry("a"), attribute="other")
    assert not is_authentic(KEY, changed)


def test_digests_depend_on_key_kind_and_value() -> None:
    names = [("user", "1"), ("attribute", "user.id", "1"), ("attribute", "user.id", 1)]
    digests = {subject_digest(key, name) for key in (KEY, b"x" * 32) for name in names}
    assert len(digests) == 6


def test_a_file_that_cannot_be_used_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError):
        ErasureLedger(tmp_path / "file" / "erasures.ledger").remember(entry("a"))
    with pytest.raises(LedgerError):
        ErasureLedger(tmp_path).entries()
