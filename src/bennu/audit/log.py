"""Writes audit records: in the transaction of the change they tell of, chained, and as log lines.

A change whose record cannot be written does not happen. Decision 11.
Spec: lines 252-260.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, event, insert, select, update
from sqlalchemy.exc import DBAPIError

from bennu.access import Caller, PrincipalKind
from bennu.audit.chain import (
    GENESIS_HASH,
    canonical_json,
    chain_hash_of,
    head_mac_of,
    personal_hash_of,
)
from bennu.audit.events import FOLDABLE, AuditEvent, Outcome, Target
from bennu.encryption.vault import Vault
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import Entropy
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, audit_head

logger: Final = logging.getLogger("bennu.audit")

CHAIN_PURPOSE: Final = "audit-chain"
FOLD_SECONDS: Final = 60
#: Beyond so many different bursts at a time the oldest is written early: memory is bounded.
MOST_FOLDED: Final = 10_000
NOT_RECORDED: Final = "The change could not be recorded and was not made"
_VALUE_LIMIT: Final = 4096
_TEXT_LIMIT: Final = 512
_LINES: Final = "bennu_audit_lines"
_PERSONAL_NONE: Final = frozenset({PrincipalKind.SERVER, PrincipalKind.CONSOLE})


@dataclass(slots=True)
class _Burst:
    """A foldable event that repeats: since when, and how often beyond the first."""

    event: AuditEvent
    caller: Caller
    since_seconds: float
    count: int = 0


class AuditLog:
    """The one writer of the audit trail."""

    def __init__(self, database: Database, clock: Clock, entropy: Entropy, vault: Vault) -> None:
        self._database, self._clock, self._entropy, self._vault = database, clock, entropy, vault
        self._key: bytes | None = None
        self._bursts: dict[tuple[str, ...], _Burst] = {}
        self._flushing = asyncio.Lock()

    async def start(self) -> None:
        """Make or read the chain's key and its head."""
        self._key = await self._database.write(self._open_chain)

    def _open_chain(self, connection: Connection) -> bytes:
        key = self._vault.purpose_key(connection, CHAIN_PURPOSE)
        if connection.execute(select(audit_head.c.id)).first() is None:
            head = {
                "sequence": 0,
                "chain_hash": GENESIS_HASH,
                "first_sequence": 1,
                "base_hash": GENESIS_HASH,
            }
            mac = head_mac_of(key, head)
            connection.execute(insert(audit_head).values(id=1, **head, mac=mac))
        return key

    def record(
        self, connection: Connection, event_: AuditEvent, caller: Caller, count: int = 1
    ) -> None:
        """Append a record in the transaction of its change; call it last in that transaction.

        The head row is the lock of the chain, also between processes on PostgreSQL, which is why
        nothing slow may follow. The log line is written once the transaction has committed.

        Raises:
            UnavailableError: the record cannot be written, so the change must not happen.
        """
        key = self._key
        if key is None:
            raise RuntimeError("the audit trail was not started")
        try:
            row = self._append(connection, key, event_, caller, count)
        except DBAPIError as error:
            detail = f"audit: {type(error.orig).__name__}"
            raise UnavailableError(NOT_RECORDED, detail=detail, retry_after_seconds=5) from error
        _log_after_commit(connection, event_, caller, row)

    def _append(
        self, connection: Connection, key: bytes, event_: AuditEvent, caller: Caller, count: int
    ) -> dict[str, Any]:
        statement = select(audit_head).where(audit_head.c.id == 1).with_for_update()
        head = dict(connection.execute(statement).one()._mapping)  # noqa: SLF001 - public by docs
        row = self._row(event_, caller, count)
        row["sequence"] = head["sequence"] + 1
        row["chain_hash"] = chain_hash_of(key, head["chain_hash"], row)
        connection.execute(insert(audit_events).values(**row))
        head |= {"sequence": row["sequence"], "chain_hash": row["chain_hash"]}
        head["mac"] = head_mac_of(key, head)
        connection.execute(update(audit_head).where(audit_head.c.id == 1).values(**head))
        return row

    def _row(self, event_: AuditEvent, caller: Caller, count: int) -> dict[str, Any]:
        principal = caller.principal
        target = event_.target or Target("")
        personal = canonical_json(
            {
                "actor_name": "" if principal.kind in _PERSONAL_NONE else _cut(principal.name),
                "target_name": _cut(target.name),
                "address": caller.address,
                "user_agent": _cut(caller.user_agent),
            }
        )
        salt = self._entropy.bytes(16).hex()
        return {
            "id": self._entropy.bytes(16).hex(),
            "time_at": to_microseconds(self._clock.now_utc()),
            "event": str(event_.name),
            "outcome": str(event_.outcome),
            "reason": _cut(event_.reason),
            "actor_kind": str(principal.kind),
            "actor_id": principal.public_id,
            "credential_kind": _credential_kind(caller),
            "credential_id": principal.credential_id,
            "request_id": caller.request_id,
            "target_kind": target.kind,
            "target_id": _cut(target.id),
            "before": _fields(event_.before),
            "after": _fields(event_.after),
            "count": count,
            "personal": personal,
            "personal_salt": salt,
            "personal_hash": personal_hash_of(salt, personal),
        }

    async def note(self, event_: AuditEvent, caller: Caller) -> None:
        """Record an event that changes nothing, folding bursts of those that strangers cause."""
        if event_.name in FOLDABLE and self._is_repeated(event_, caller):
            return
        await self._database.write(lambda connection: self.record(connection, event_, caller))

    def _is_repeated(self, event_: AuditEvent, caller: Caller) -> bool:
        target = event_.target or Target("")
        who = (caller.principal.public_id, caller.principal.credential_id, caller.address)
        burst_key = (str(event_.name), *who, target.kind, target.id, event_.reason)
        burst = self._bursts.get(burst_key)
        now = self._clock.monotonic_seconds()
        if burst is not None and now - burst.since_seconds < FOLD_SECONDS:
            burst.count += 1
            return True
        if burst is None and len(self._bursts) < MOST_FOLDED:
            self._bursts[burst_key] = _Burst(event_, caller, now)
        return False

    async def flush_folded(self, *, all_bursts: bool = False) -> None:
        """Record the bursts whose minute is over, or all of them at the end of the server."""
        async with self._flushing:
            now = self._clock.monotonic_seconds()
            for burst_key, burst in list(self._bursts.items()):
                if not all_bursts and now - burst.since_seconds < FOLD_SECONDS:
                    continue
                del self._bursts[burst_key]
                if burst.count:
                    await self._record_burst(burst)

    async def _record_burst(self, burst: _Burst) -> None:
        await self._database.write(
            lambda connection: self.record(connection, burst.event, burst.caller, burst.count)
        )


def _cut(text: str) -> str:
    """Bound a text and take out what a database cannot hold."""
    return text[:_TEXT_LIMIT].replace("\0", "\ufffd")


def _fields(fields: Mapping[str, Any] | None) -> str | None:
    if fields is None:
        return None
    text = canonical_json(fields)
    return text if len(text) <= _VALUE_LIMIT else canonical_json({"omitted": "too large"})


def _credential_kind(caller: Caller) -> str:
    principal = caller.principal
    if principal.is_session:
        return "session"
    is_key = principal.kind in {PrincipalKind.USER_KEY, PrincipalKind.SYSTEM_KEY}
    return "api_key" if is_key else str(principal.kind)


def _log_after_commit(
    connection: Connection, event_: AuditEvent, caller: Caller, row: Mapping[str, Any]
) -> None:
    """Keep the line until the commit; a rollback drops it. Ids only, no names or addresses."""
    level = logging.INFO if event_.outcome is Outcome.SUCCEEDED else logging.WARNING
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
        "request_id": caller.request_id,
    }
    line = (level, row["event"], {k: v for k, v in fields.items() if v not in ("", None)})
    pending: list[tuple[int, str, dict[str, Any]]] = connection.info.setdefault(_LINES, [])
    if not event.contains(connection.engine, "commit", _write_lines):
        event.listen(connection.engine, "commit", _write_lines)
        event.listen(connection.engine, "rollback", _drop_lines)
    pending.append(line)


def _write_lines(connection: Connection) -> None:
    for level, message, fields in connection.info.pop(_LINES, ()):
        logger.log(level, message, extra=fields)


def _drop_lines(connection: Connection) -> None:
    connection.info.pop(_LINES, None)
