"""Checks the chain of the audit trail and names the first record that is not as it was written.

Only reads, page by page, so that a trail of any length takes the same memory.

Spec: lines 256-260. Source: RFC 2104 (HMAC).
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, RowMapping, select

from bennu.audit.chain import chain_hash_of, head_mac_of, personal_hash_of
from bennu.audit.log import CHAIN_PURPOSE
from bennu.encryption.vault import Vault
from bennu.storage.schema import audit_events, audit_head, purpose_keys

_PAGE_RECORDS: Final = 1_000


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


@dataclass(frozen=True, slots=True)
class TrailFinding:
    """The result of a verification.

    Args:
        records: how many there are, or how many were good before the first that is not.
        first_bad_sequence: where the trail first differs; None when nothing does, or when the
            head is wrong and no record is.
        reason: what is wrong, or None.
    """

    records: int
    first_bad_sequence: int | None = None
    reason: TamperReason | None = None

    @property
    def ok(self) -> bool:
        """Whether the trail is as it was written."""
        return self.reason is None


def verify_trail(connection: Connection, vault: Vault) -> TrailFinding:
    """Verify all records in the order of their sequence; the connection may be read-only.

    Raises:
        SealError: the key of the chain was sealed under a secret that was not given.
    """
    # Asked for first: the vault makes a key that is missing, and a new one verifies nothing.
    found = select(purpose_keys.c.purpose).where(purpose_keys.c.purpose == CHAIN_PURPOSE)
    if connection.execute(found).first() is None:
        return TrailFinding(0, None, TamperReason.KEY_REMOVED)
    head = connection.execute(select(audit_head).where(audit_head.c.id == 1)).mappings().first()
    if head is None:
        return TrailFinding(0, None, TamperReason.HEAD_REMOVED)
    return _verify_chain(connection, vault.purpose_key(connection, CHAIN_PURPOSE), head)


def _verify_chain(connection: Connection, key: bytes, head: RowMapping) -> TrailFinding:
    previous_hash, expected, count = head["base_hash"], head["first_sequence"], 0
    for row in _rows_after(connection, None):
        finding = _problem_of(key, previous_hash, expected, row)
        if finding is not None:
            if finding is TamperReason.CHANGED and _stands_later(
                connection, key, row, previous_hash
            ):
                finding = TamperReason.DISPLACED
            return TrailFinding(count, min(expected, row["sequence"]), finding)
        previous_hash, expected, count = row["chain_hash"], expected + 1, count + 1
    reason = _head_problem(key, head, expected - 1, previous_hash)
    if reason is TamperReason.TAIL_REMOVED:
        return TrailFinding(count, expected, reason)
    if reason is TamperReason.INSERTED:
        return TrailFinding(count, head["sequence"] + 1, reason)
    return TrailFinding(count, None, reason)


def _problem_of(
    key: bytes, previous_hash: str, expected: int, row: RowMapping
) -> TamperReason | None:
    if row["sequence"] != expected:
        is_before = row["sequence"] < expected
        return TamperReason.INSERTED if is_before else TamperReason.REMOVED
    if not _same(chain_hash_of(key, previous_hash, {**row}), row["chain_hash"]):
        return TamperReason.CHANGED
    return None if _personal_holds(row) else TamperReason.PERSONAL_CHANGED


def _personal_holds(row: RowMapping) -> bool:
    """Whether personal fields are as written; an erasure drops them together with the salt."""
    personal, salt = row["personal"], row["personal_salt"]
    if personal is None or salt is None:
        return personal is None and salt is None
    try:
        return _same(personal_hash_of(salt, personal), row["personal_hash"])
    except ValueError:  # the salt is not hexadecimal any more
        return False


def _stands_later(connection: Connection, key: bytes, row: RowMapping, previous_hash: str) -> bool:
    """Whether the record that belongs to this place is found under a later sequence."""
    place = {"sequence": row["sequence"]}
    return any(
        _same(chain_hash_of(key, previous_hash, {**later, **place}), later["chain_hash"])
        for later in _rows_after(connection, row["sequence"])
    )


def _head_problem(
    key: bytes, head: RowMapping, last_sequence: int, last_hash: str
) -> TamperReason | None:
    """Compare the newest record with the head, whose MAC only the server can make."""
    if not _same(head_mac_of(key, {**head}), head["mac"]):
        return TamperReason.HEAD_CHANGED
    if last_sequence < head["sequence"]:
        return TamperReason.TAIL_REMOVED
    if last_sequence > head["sequence"]:
        return TamperReason.INSERTED
    return None if last_hash == head["chain_hash"] else TamperReason.HEAD_CHANGED


def _rows_after(connection: Connection, sequence: int | None) -> Iterator[RowMapping]:
    statement = select(audit_events).order_by(audit_events.c.sequence).limit(_PAGE_RECORDS)
    while True:
        page = statement
        if sequence is not None:
            page = statement.where(audit_events.c.sequence > sequence)
        rows = connection.execute(page).mappings().all()
        yield from rows
        if len(rows) < _PAGE_RECORDS:
            return
        sequence = rows[-1]["sequence"]


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
