"""Remembers erasures outside the database, so that a restored backup does not bring people back.

One line of JSON per erasure: keyed hashes of whom it was about, never the person. The key lies
sealed in the database since its first start, so every backup has it. Each line is authenticated
with the same key: whoever can write to the file cannot have somebody erased.

Spec: line 265. Source: GDPR, Art. 17; RFC 2104.
"""

import fcntl
import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bennu.kernel.errors import UnavailableError

PURPOSE: Final = "erasure-ledger"
FILE_NAME: Final = "erasures.ledger"
_OWNER_ONLY: Final = 0o600


class LedgerError(UnavailableError):
    """The file cannot be written or read; no erasure happens without it."""

    code = "ledger"


class LedgerEntry(msgspec.Struct, frozen=True):
    """One erasure.

    Args:
        id: random.
        kind: ``user`` or ``attribute``.
        attribute: dotted key, "" for a user.
        digests: keyed hashes, each of which names the person.
        time_at: when it was asked for, microseconds since 1970 UTC.
        mac: over all else.
    """

    id: str
    kind: str
    attribute: str
    digests: tuple[str, ...]
    time_at: int
    mac: str = ""


def subject_digest(key: bytes, name: tuple[object, ...]) -> str:
    """Return the keyed hash of what identifies a person.

    Why safe: whoever has the file and not the key cannot try guesses.
    """
    return hmac.new(key, msgspec.json.encode(list(name)), hashlib.sha256).hexdigest()


def authenticated(key: bytes, entry: LedgerEntry) -> LedgerEntry:
    """Return the entry with its MAC."""
    return msgspec.structs.replace(entry, mac=_mac(key, entry))


def is_authentic(key: bytes, entry: LedgerEntry) -> bool:
    """Whether the entry was written with this key."""
    return hmac.compare_digest(_mac(key, entry), entry.mac)


def _mac(key: bytes, entry: LedgerEntry) -> str:
    bare = msgspec.structs.replace(entry, mac="")
    return hmac.new(key, b"line\0" + msgspec.json.encode(bare), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class ErasureLedger:
    """The file; several processes on one machine may share it."""

    path: Path

    def remember(self, entry: LedgerEntry) -> None:
        """Append an entry and wait until it is on the disk; one that is there stays as it is.

        Raises:
            LedgerError: it cannot be written; nothing may be erased.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self.path, flags, _OWNER_ONLY), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                content = file.read()
                if any(known.id == entry.id for known in _read(content)):
                    return
                # A line that a crash tore is ended, so that it spoils no other.
                torn = b"" if not content or content.endswith(b"\n") else b"\n"
                file.write(torn + msgspec.json.encode(entry) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error) from error

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Return every entry in order; none when there is no file.

        Raises:
            LedgerError: it cannot be read.
        """
        try:
            return _read(self.path.read_bytes())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> LedgerError:
        detail = f"{self.path}: {error.strerror}"
        return LedgerError("The ledger of erasures cannot be used now", detail=detail)


def _read(content: bytes) -> tuple[LedgerEntry, ...]:
    """Read the lines; one that a crash tore is none."""
    found = []
    for line in content.splitlines():
        try:
            found.append(msgspec.json.decode(line, type=LedgerEntry))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return tuple(found)
