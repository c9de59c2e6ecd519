"""The rows of the audit trail: records, the head of the chain, checkpoints.

Spec: lines 256-260.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from bennu.audit.chain import GENESIS_HASH, head_mac_of
from bennu.audit.checkpoint import Checkpoint
from bennu.storage.schema import audit_checkpoints, audit_events, audit_head, purpose_keys

CHAIN_PURPOSE: Final = "audit-chain"
SIGNING_PURPOSE: Final = "audit-checkpoints"
_PAGE_RECORDS: Final = 1_000
_NO_MAC: Final = ""
# Built once: building a statement anew costs more than running it.
_HEAD: Final = select(audit_head).where(audit_head.c.id == 1)
_HEAD_LOCKED: Final = _HEAD.with_for_update()
_MOVE_HEAD: Final = update(audit_head).where(audit_head.c.id == 1)
_APPEND: Final = insert(audit_events)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest place of the chain, and where it begins since older records were deleted.

    Args:
        sequence: of the newest record, 0 when there was none yet.
        chain_hash: of that record.
        first_sequence: of the oldest record that is kept.
        base_hash: of the record before that.
        is_authentic: whether the MAC over the rest was made with the key of the chain.
    """

    sequence: int
    chain_hash: str
    first_sequence: int
    base_hash: str
    is_authentic: bool = True

    def fields(self) -> dict[str, Any]:
        """Return what the MAC covers."""
        return {
            "sequence": self.sequence,
            "chain_hash": self.chain_hash,
            "first_sequence": self.first_sequence,
            "base_hash": self.base_hash,
        }


EMPTY_HEAD: Final = Head(0, GENESIS_HASH, 1, GENESIS_HASH)


def purpose_key_exists(connection: Connection, purpose: str) -> bool:
    """Whether the vault holds this key already; it makes one that is missing."""
    found = select(purpose_keys.c.purpose).where(purpose_keys.c.purpose == purpose)
    return connection.execute(found).first() is not None


# --- the head ------------------------------------------------------------------------------


def read_head(connection: Connection, key: bytes, *, lock: bool = False) -> Head | None:
    """Return the head, or None when there is no row.

    Args:
        connection: may be read-only without ``lock``.
        key: of the chain.
        lock: hold it until the end of the transaction; this is the lock of the chain, also
            between processes on PostgreSQL (on SQLite there is one writer at a time anyway).
    """
    row = connection.execute(_HEAD_LOCKED if lock else _HEAD).first()
    if row is None:
        return None
    head = Head(row.sequence, row.chain_hash, row.first_sequence, row.base_hash)
    is_authentic = hmac.compare_digest(
        head_mac_of(key, head.fields()).encode(), str(row.mac).encode()
    )
    return Head(**head.fields(), is_authentic=is_authentic)


def insert_head(connection: Connection, key: bytes, head: Head) -> None:
    """Write the first head of this database."""
    connection.execute(insert(audit_head).values(id=1, **_head_row(key, head)))


def move_head(connection: Connection, key: bytes, head: Head) -> None:
    """Write the head anew. One that is not authentic stays so: its MAC is not made good."""
    connection.execute(_MOVE_HEAD, _head_row(key, head))


def _head_row(key: bytes, head: Head) -> dict[str, Any]:
    mac = head_mac_of(key, head.fields()) if head.is_authentic else _NO_MAC
    return {**head.fields(), "mac": mac}


def newest_place(connection: Connection) -> Head:
    """Return a head that fits the rows as they are; nobody vouches for it."""
    statement = (
        select(audit_events.c.sequence, audit_events.c.chain_hash)
        .order_by(audit_events.c.sequence.desc())
        .limit(1)
    )
    row = connection.execute(statement).first()
    if row is None:
        return Head(**EMPTY_HEAD.fields(), is_authentic=False)
    return Head(row.sequence, row.chain_hash, 1, GENESIS_HASH, is_authentic=False)


# --- records -------------------------------------------------------------------------------


def insert_record(connection: Connection, row: Mapping[str, Any]) -> None:
    """Append one record."""
    connection.execute(_APPEND, dict(row))


def records_after(connection: Connection, sequence: int | None) -> Iterator[dict[str, Any]]:
    """Yield all records above a place in the order of their sequence, reading page by page.

    Args:
        connection: may be read-only.
        sequence: None for all.
    """
    while True:
        rows = records_page(connection, sequence, _PAGE_RECORDS)
        yield from rows
        if len(rows) < _PAGE_RECORDS:
            return
        sequence = rows[-1]["sequence"]


def records_page(connection: Connection, above: int | None, most: int) -> list[dict[str, Any]]:
    """Return up to ``most`` records above a place, in the order of their sequence."""
    statement = select(audit_events).order_by(audit_events.c.sequence).limit(most)
    if above is not None:
        statement = statement.where(audit_events.c.sequence > above)
    return [dict(row) for row in connection.execute(statement).mappings()]


def delete_records_until(connection: Connection, sequence: int) -> None:
    """Delete the records up to a place, and the checkpoints before it."""
    connection.execute(delete(audit_events).where(audit_events.c.sequence <= sequence))
    connection.execute(delete(audit_checkpoints).where(audit_checkpoints.c.sequence < sequence))


def drop_personal_fields(connection: Connection, public_id: str) -> int:
    """Drop names, addresses and user agents from the records of a person, and their salt.

    The chain stays whole: it covers only a salted hash of them. What happened stays recorded,
    with the public id, which names nobody once the account is gone.

    Args:
        connection: of a transaction that may write.
        public_id: of the user, as actor or as target.

    Returns:
        The number of records that lost something.

    Spec: line 265 (data deletion).
    """
    events = audit_events.c
    statement = (
        update(audit_events)
        .where(or_(events.actor_id == public_id, events.target_id == public_id))
        .where(events.personal.is_not(None))
        .values(personal=None, personal_salt=None)
    )
    return connection.execute(statement).rowcount


# --- checkpoints ---------------------------------------------------------------------------


def insert_checkpoint(connection: Connection, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint."""
    connection.execute(
        insert(audit_checkpoints).values(
            sequence=checkpoint.sequence,
            chain_hash=checkpoint.chain_hash,
            time_at=checkpoint.time_at,
            signature=checkpoint.signature,
        )
    )


def stored_checkpoints(connection: Connection) -> list[Checkpoint]:
    """Return all checkpoints that are kept, the oldest first."""
    statement = select(audit_checkpoints).order_by(audit_checkpoints.c.sequence)
    return [
        Checkpoint(row.sequence, row.chain_hash, row.time_at, row.signature)
        for row in connection.execute(statement)
    ]


def checkpoint_at(connection: Connection, sequence: int) -> Checkpoint | None:
    """Return the checkpoint of one record, or None."""
    statement = select(audit_checkpoints).where(audit_checkpoints.c.sequence == sequence)
    row = connection.execute(statement).first()
    return (
        None
        if row is None
        else Checkpoint(row.sequence, row.chain_hash, row.time_at, row.signature)
    )


def any_trace_of_a_trail(connection: Connection) -> bool:
    """Whether there are records or checkpoints."""
    counts = (select(func.count()).select_from(t) for t in (audit_events, audit_checkpoints))
    return any(connection.execute(statement).scalar_one() for statement in counts)
