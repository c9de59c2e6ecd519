"""Checks the chain of the audit trail and names the first record that is not as it was written.

Only reads, page by page, so that a trail of any length takes the same memory.

Spec: lines 256-260. Source: RFC 2104 (HMAC), RFC 8032 (Ed25519).
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from bennu.audit.chain import chain_hash_of, personal_hash_of
from bennu.audit.checkpoint import Checkpoint, is_authentic
from bennu.audit.store import (
    CHAIN_PURPOSE,
    EMPTY_HEAD,
    SIGNING_PURPOSE,
    Head,
    purpose_key_exists,
    read_head,
    records_after,
    stored_checkpoints,
)
from bennu.encryption.cipher import SealError
from bennu.encryption.signing import public_key_pem
from bennu.encryption.vault import Vault

_NO_HEAD: Final = replace(EMPTY_HEAD, is_authentic=False)


class TamperReason(StrEnum):
    """What is wrong with a trail."""

    CHANGED = "changed"  # the record itself; also one that was removed and its place closed up
    REMOVED = "removed"
    DISPLACED = "inserted_or_reordered"  # the record that belongs here stands further on
    INSERTED = "inserted"  # before the first or after the last record
    TAIL_REMOVED = "tail_removed"
    PERSONAL_CHANGED = "personal_changed"
    HEAD_CHANGED = "head_changed"
    HEAD_REMOVED = "head_removed"
    KEY_REMOVED = "key_removed"
    KEY_CHANGED = "key_changed"
    CHECKPOINT_DIFFERS = "checkpoint_differs"  # what was signed for this place is another record
    CHECKPOINT_CHANGED = "checkpoint_changed"  # one in the database has a wrong signature
    CHECKPOINT_FORGED = "checkpoint_forged"  # the one that was given has a wrong signature


@dataclass(frozen=True, slots=True)
class TrailFinding:
    """The result of a verification.

    Args:
        records: how many there are, or how many were good before the first that is not.
        first_bad_sequence: where the trail first differs; None when nothing does, or when no
            record is wrong but what vouches for them.
        reason: what is wrong, or None.
    """

    records: int
    first_bad_sequence: int | None = None
    reason: TamperReason | None = None

    @property
    def ok(self) -> bool:
        """Whether the trail is as it was written."""
        return self.reason is None


@dataclass(slots=True)
class _Evidence:
    """What checkpoints say: the hashes that were signed for a place, and who lied."""

    signed: dict[int, set[str]] = field(default_factory=dict)
    problem: TamperReason | None = None

    def add(self, checkpoint: Checkpoint, public_key: str | None, otherwise: TamperReason) -> None:
        """Believe a checkpoint whose signature is right, and note one whose is not."""
        if public_key is not None and is_authentic(checkpoint, public_key):
            self.signed.setdefault(checkpoint.sequence, set()).add(checkpoint.chain_hash)
        else:
            self.problem = otherwise

    def contradicts(self, sequence: int, chain_hash: str) -> bool:
        """Whether something else was signed for this place."""
        return bool(self.signed.get(sequence, set()) - {chain_hash})


def verify_trail(
    connection: Connection,
    vault: Vault,
    checkpoint: Checkpoint | None = None,
    public_key: str | None = None,
) -> TrailFinding:
    """Verify all records in the order of their sequence.

    Args:
        connection: may be read-only.
        vault: with the secret that was proved right, see ``check_secret``.
        checkpoint: exported earlier; without one, the end of a trail can be put back together
            with everything that vouches for it.
        public_key: PEM, kept elsewhere, to check all checkpoints with; by default the server's.

    Raises:
        PublicKeyError: the text is no public key of the right kind.
    """
    # Asked for first: the vault makes a key that is missing, and a new one verifies nothing.
    if not purpose_key_exists(connection, CHAIN_PURPOSE):
        return TrailFinding(0, None, TamperReason.KEY_REMOVED)
    try:
        key = vault.purpose_key(connection, CHAIN_PURPOSE)
        trusted = public_key or own_public_key(connection, vault)
    except SealError:
        return TrailFinding(0, None, TamperReason.KEY_CHANGED)
    evidence = _Evidence()
    for stored in stored_checkpoints(connection):
        evidence.add(stored, trusted, TamperReason.CHECKPOINT_CHANGED)
    if checkpoint is not None:
        evidence.add(checkpoint, trusted, TamperReason.CHECKPOINT_FORGED)
    head = read_head(connection, key)
    finding = _verify_records(connection, key, head or _NO_HEAD, evidence)
    if not finding.ok and finding.first_bad_sequence is not None:
        return finding
    if head is None:
        return TrailFinding(finding.records, None, TamperReason.HEAD_REMOVED)
    return finding


def own_public_key(connection: Connection, vault: Vault) -> str | None:
    """Return the PEM with which this server's signatures are checked, None when it never signed.

    Only reads: the vault would make a key that is missing, and a new one verifies nothing.

    Raises:
        SealError: the key is sealed under a secret that is not here.
    """
    if not purpose_key_exists(connection, SIGNING_PURPOSE):
        return None
    return public_key_pem(vault.purpose_key(connection, SIGNING_PURPOSE))


def _verify_records(
    connection: Connection, key: bytes, head: Head, evidence: _Evidence
) -> TrailFinding:
    previous_hash, expected, count = head.base_hash, head.first_sequence, 0
    if evidence.contradicts(expected - 1, previous_hash):
        return TrailFinding(0, expected, TamperReason.CHECKPOINT_DIFFERS)
    for row in records_after(connection, None):
        problem = problem_of(key, previous_hash, expected, row)
        if problem is TamperReason.CHANGED and _stands_later(
            key, row["sequence"], previous_hash, records_after(connection, row["sequence"])
        ):
            problem = TamperReason.DISPLACED
        if problem is None and evidence.contradicts(expected, row["chain_hash"]):
            problem = TamperReason.CHECKPOINT_DIFFERS
        if problem is not None:
            return TrailFinding(count, min(expected, row["sequence"]), problem)
        previous_hash, expected, count = row["chain_hash"], expected + 1, count + 1
    return _verify_end(head, evidence, expected - 1, previous_hash, count)


def problem_of(
    key: bytes, previous_hash: str, expected: int, row: Mapping[str, Any]
) -> TamperReason | None:
    """Say what is wrong with one record, or None.

    Args:
        key: of the chain.
        previous_hash: of the record before it.
        expected: the sequence that it should have.
        row: the record, all columns.
    """
    if row["sequence"] != expected:
        is_before = row["sequence"] < expected
        return TamperReason.INSERTED if is_before else TamperReason.REMOVED
    if not _same(chain_hash_of(key, previous_hash, row), row["chain_hash"]):
        return TamperReason.CHANGED
    return None if _personal_holds(row) else TamperReason.PERSONAL_CHANGED


def _personal_holds(row: Mapping[str, Any]) -> bool:
    """Whether personal fields are as written; an erasure drops them together with the salt."""
    personal, salt = row["personal"], row["personal_salt"]
    if personal is None or salt is None:
        return personal is None and salt is None
    try:
        return _same(personal_hash_of(salt, personal), row["personal_hash"])
    except ValueError:  # the salt is not hexadecimal any more
        return False


def _stands_later(
    key: bytes, sequence: int, previous_hash: str, later: Iterable[Mapping[str, Any]]
) -> bool:
    """Whether the record that belongs to this place is found under a later sequence."""
    place = {"sequence": sequence}
    return any(
        _same(chain_hash_of(key, previous_hash, {**row, **place}), row["chain_hash"])
        for row in later
    )


def _verify_end(
    head: Head, evidence: _Evidence, last_sequence: int, last_hash: str, count: int
) -> TrailFinding:
    """Compare the newest record with the head and with what checkpoints know beyond it."""
    if any(sequence > last_sequence for sequence in evidence.signed):
        return TrailFinding(count, last_sequence + 1, TamperReason.TAIL_REMOVED)
    if not head.is_authentic:
        return TrailFinding(count, None, TamperReason.HEAD_CHANGED)
    if last_sequence < head.sequence:
        return TrailFinding(count, last_sequence + 1, TamperReason.TAIL_REMOVED)
    if last_sequence > head.sequence:
        return TrailFinding(count, head.sequence + 1, TamperReason.INSERTED)
    if last_hash != head.chain_hash:
        return TrailFinding(count, None, TamperReason.HEAD_CHANGED)
    return TrailFinding(count, None, evidence.problem)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
