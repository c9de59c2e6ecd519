"""Writes audit records: in the transaction of the change they tell of, chained, and as log lines.

A change whose record cannot be written does not happen. Decision 7.
Spec: lines 252-260.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bennu.access import Caller, PrincipalKind
from bennu.audit.chain import canonical_json, chain_hash_of, personal_hash_of
from bennu.audit.checkpoint import Checkpoint, checkpoint_document, sign_checkpoint
from bennu.audit.events import EVENT_RULES, AuditEvent, Outcome, Target
from bennu.audit.folding import Burst, Folding
from bennu.audit.store import (
    CHAIN_PURPOSE,
    EMPTY_HEAD,
    SIGNING_PURPOSE,
    Head,
    any_trace_of_a_trail,
    checkpoint_at,
    insert_checkpoint,
    insert_head,
    insert_record,
    move_head,
    newest_place,
    purpose_key_exists,
    read_head,
)
from bennu.encryption.vault import Vault
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import AppError, UnavailableError
from bennu.kernel.ids import Entropy
from bennu.kernel.log_text import storable
from bennu.storage.after_commit import after_commit
from bennu.storage.database import Database

logger: Final = logging.getLogger("bennu.audit")

NOT_RECORDED: Final = "The change could not be recorded and was not made"
_FIELDS_LIMIT_CHARACTERS: Final = 4096
_TEXT_LIMIT_CHARACTERS: Final = 512
_FLUSHED_AT_ONCE: Final = 100
_PERSONAL_NONE: Final = frozenset({PrincipalKind.SERVER, PrincipalKind.CONSOLE})


class BrokenTrailError(UnavailableError):
    """Somebody tampered with the trail, so what would cover that up is not done."""

    code = "broken_trail"


class AuditLog:
    """The one writer of the audit trail."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy, vault: Vault) -> None:
        self._database, self._clock, self._entropy, self._vault = database, clock, entropy, vault
        self._key: bytes | None = None
        self._folding = Folding()
        #: Told of every record once it is in the trail, and how often its event happened.
        self.on_recorded: Callable[[AuditEvent, int], None] | None = None
        self._flushing = asyncio.Lock()
        self._flushes: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make or read the chain's key and its head."""
        self._key = await self._database.write(self._open_chain)

    def _open_chain(self, connection: Connection) -> bytes:
        """Begin the chain of a new database; a head that is missing later was taken away."""
        is_new = not purpose_key_exists(connection, CHAIN_PURPOSE)
        key = self._vault.purpose_key(connection, CHAIN_PURPOSE)
        if read_head(connection, key, lock=True) is None:
            if is_new and not any_trace_of_a_trail(connection):
                insert_head(connection, key, EMPTY_HEAD)
            else:
                logger.error("audit.head.removed")
                insert_head(connection, key, newest_place(connection))
        return key

    def chain_key(self) -> bytes:
        """Return the key of the chain, for those who delete old records."""
        if self._key is None:
            raise RuntimeError("the audit trail was not started")
        return self._key

    # --- records -----------------------------------------------------------------------------

    def record(
        self, connection: Connection, event: AuditEvent, caller: Caller, count: int = 1
    ) -> None:
        """Append a record in the transaction of its change; call it last in that transaction.

        The head row is the lock of the chain, also between processes on PostgreSQL, which is why
        nothing slow may follow. The log line is written once the transaction has committed.

        Args:
            connection: of the change.
            event: what happened.
            caller: who did it.
            count: how often it happened, at least 1.

        Raises:
            UnavailableError: the record cannot be written, so the change must not happen.
        """
        key = self.chain_key()
        try:
            row = self._append(connection, key, event, caller, count)
        except DBAPIError as error:
            detail = f"audit: {type(error.orig).__name__}"
            raise UnavailableError(NOT_RECORDED, detail=detail, retry_after_seconds=5) from error
        after_commit(connection, partial(_write_line, event, caller, row))
        if self.on_recorded is not None:
            after_commit(connection, partial(self.on_recorded, event, count))

    def _append(
        self, connection: Connection, key: bytes, event: AuditEvent, caller: Caller, count: int
    ) -> dict[str, Any]:
        """Write the record and move the head.

        A head that somebody else wrote is moved on too, as refusing would stop the server, but
        its MAC is not made good: a verification still finds what happened to it.
        """
        head = read_head(connection, key, lock=True)
        if head is None or not head.is_authentic:
            after_commit(connection, partial(logger.error, "audit.head.changed"))
        if head is None:
            head = newest_place(connection)
            insert_head(connection, key, head)
        row = self._row(event, caller, count)
        row["sequence"] = head.sequence + 1
        row["chain_hash"] = chain_hash_of(key, head.chain_hash, row)
        insert_record(connection, row)
        moved = replace(head, sequence=row["sequence"], chain_hash=row["chain_hash"])
        move_head(connection, key, moved)
        return row

    def _row(self, event: AuditEvent, caller: Caller, count: int) -> dict[str, Any]:
        principal = caller.principal
        target = event.target or Target("")
        personal = canonical_json(
            {
                "actor_name": "" if principal.kind in _PERSONAL_NONE else _cut(principal.name),
                "target_name": _cut(target.name),
                "address": _cut(caller.address),
                "user_agent": _cut(caller.user_agent),
            }
        )
        salt = self._entropy.bytes(16).hex()
        return {
            "id": self._entropy.bytes(16).hex(),
            "time_at": to_microseconds(self._clock.now_utc()),
            "event": str(event.name),
            "outcome": str(event.outcome),
            "reason": _cut(event.reason),
            "actor_kind": str(principal.kind),
            "actor_id": _cut(principal.public_id),
            "credential_kind": _credential_kind(caller),
            "credential_id": _cut(principal.credential_id),
            "request_id": _cut(caller.request_id),
            "target_kind": target.kind,
            "target_id": _cut(target.id),
            "before": _fields(event.before),
            "after": _fields(event.after),
            "count": count,
            "personal": personal,
            "personal_salt": salt,
            "personal_hash": personal_hash_of(salt, personal),
        }

    @property
    def waiting_events(self) -> int:
        """How many events were counted in memory and are not in the trail yet."""
        return self._folding.waiting_events

    @property
    def lag_seconds(self) -> float:
        """How long the oldest event that is not in the trail yet has waited; 0: there is none."""
        return self._folding.lag_seconds(self._clock.monotonic_seconds())

    # --- events without a change ---------------------------------------------------------------

    async def note(self, event: AuditEvent, caller: Caller) -> None:
        """Record an event that changes nothing, folding bursts of those that strangers cause.

        Raises:
            UnavailableError: it cannot be recorded; a foldable one is recorded later.
        """
        ended: Sequence[Burst] = ()
        is_foldable = EVENT_RULES[event.name].is_foldable
        if is_foldable:
            taken = self._folding.take(event, caller, self._clock.monotonic_seconds())
            if taken is None:
                return
            ended = taken

        def work(connection: Connection) -> None:
            self._record_bursts(connection, ended)
            self.record(connection, event, caller)

        try:
            await self._database.write(work)
        except AppError:
            now = self._clock.monotonic_seconds()
            for burst in (*ended, *([Burst(event, caller, now, 1)] if is_foldable else [])):
                self._folding.give_back(burst)
            raise

    async def flush_folded(self, *, all_bursts: bool = False) -> None:
        """Record the bursts whose minute is over, or all of them at the end of the server.

        Raises:
            UnavailableError: some could not be recorded; they are kept for the next time.
        """
        flush = asyncio.create_task(self._flush(all_bursts=all_bursts))
        self._flushes.add(flush)
        flush.add_done_callback(self._flushes.discard)
        # Shielded: what was taken is recorded or given back, whoever stops waiting; the flush at
        # the end of the server comes after it.
        await asyncio.shield(flush)

    async def _flush(self, *, all_bursts: bool) -> None:
        async with self._flushing:
            now = self._clock.monotonic_seconds()
            waiting = self._folding.take_ended(now, all_bursts=all_bursts)
            while waiting:
                some = waiting[:_FLUSHED_AT_ONCE]
                try:
                    await self._database.write(partial(self._record_bursts, bursts=some))
                except AppError:
                    for burst in waiting:
                        self._folding.give_back(burst)
                    raise
                waiting = waiting[_FLUSHED_AT_ONCE:]

    def _record_bursts(self, connection: Connection, bursts: Sequence[Burst]) -> None:
        for burst in bursts:
            self.record(connection, burst.event, burst.caller, burst.count)

    # --- checkpoints ---------------------------------------------------------------------------

    async def keep_checkpoint(self) -> Checkpoint | None:
        """Sign how far the trail goes, unless that was done; None when it is empty.

        A new one is a line of the log as well: where logs are kept elsewhere, the line vouches
        for the trail like an exported checkpoint, and `bennu audit verify` takes it as one.

        Raises:
            BrokenTrailError: the head was changed by somebody else; it is not signed.
        """
        return await self._database.write(self._sign_head)

    def _sign_head(self, connection: Connection) -> Checkpoint | None:
        head = authentic_head(connection, self.chain_key())
        if head.sequence == 0:
            return None
        known = checkpoint_at(connection, head.sequence)
        if known is not None and known.chain_hash == head.chain_hash:
            return known
        now = to_microseconds(self._clock.now_utc())
        seed = self._vault.purpose_key(connection, SIGNING_PURPOSE)
        checkpoint = sign_checkpoint(seed, head.sequence, head.chain_hash, now)
        if known is None:
            insert_checkpoint(connection, checkpoint)
            line = partial(logger.info, "audit.checkpoint", extra=checkpoint.fields())
            after_commit(connection, line)
        return checkpoint

    async def exported_checkpoint(self) -> dict[str, Any] | None:
        """Return a checkpoint of the trail as it is now, to be kept somewhere else.

        Returns:
            The document with the public key, or None when there is no record yet.

        Raises:
            BrokenTrailError: the head was changed by somebody else; it is not signed.
        """

        def work(connection: Connection) -> dict[str, Any] | None:
            checkpoint = self._sign_head(connection)
            if checkpoint is None:
                return None
            seed = self._vault.purpose_key(connection, SIGNING_PURPOSE)
            return checkpoint_document(checkpoint, seed)

        return await self._database.write(work)


def authentic_head(connection: Connection, key: bytes) -> Head:
    """Return the head, locked until the end of the transaction.

    Raises:
        BrokenTrailError: it is missing, or somebody without the key of the chain wrote it.
    """
    head = read_head(connection, key, lock=True)
    if head is None or not head.is_authentic:
        raise BrokenTrailError(
            "The head of the audit trail was changed; run `bennu audit verify`",
            detail="audit: head changed",
        )
    return head


def _cut(text: str) -> str:
    return storable(text, _TEXT_LIMIT_CHARACTERS)


def _fields(fields: Mapping[str, Any] | None) -> str | None:
    if fields is None:
        return None
    text = canonical_json(fields)
    is_small = len(text) <= _FIELDS_LIMIT_CHARACTERS
    return text if is_small else canonical_json({"omitted": "too large"})


def _credential_kind(caller: Caller) -> str:
    principal = caller.principal
    if principal.is_session:
        return "session"
    is_key = principal.kind in {PrincipalKind.USER_KEY, PrincipalKind.SYSTEM_KEY}
    return "api_key" if is_key else str(principal.kind)


def _write_line(event: AuditEvent, caller: Caller, row: Mapping[str, Any]) -> None:
    """Write the log line of a record: its fields by id, without names of people."""
    level = EVENT_RULES[event.name].log_level
    if event.outcome is not Outcome.SUCCEEDED:
        level = max(level, logging.WARNING)
    fields = {
        "sequence": row["sequence"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "actor_kind": row["actor_kind"],
        "actor": row["actor_id"],
        "credential": row["credential_id"],
        "target_kind": row["target_kind"],
        "target": row["target_id"],
        "count": row["count"],
        "address": caller.address,
        "request_id": row["request_id"],
    }
    shown = {name: value for name, value in fields.items() if value != ""}
    logger.log(level, row["event"], extra=shown)
