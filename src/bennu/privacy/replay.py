"""Carries out, at a start, the erasures that a restored backup does not know of.

The ledger names people by keyed hashes only, so whoever is in the database is hashed and compared.
It runs before the server answers anybody, and again after a kill.

Spec: line 265.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import SERVER, Caller
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.encryption.vault import Vault
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import ConflictError
from bennu.kernel.ids import global_id
from bennu.privacy.deletion import Erasures, erase_account, parts_of
from bennu.privacy.erased_store import (
    WINDOW_ROWS,
    applied_entries,
    created_users,
    delete_annotations_by,
    erase_traces,
    newest_span_row,
    note_applied,
    sessions_after,
    sizes_of,
    spans_between,
    traces_of_session_rows,
)
from bennu.privacy.jobs_store import unfinished_jobs
from bennu.privacy.ledger import ErasureLedger, LedgerEntry, is_authentic, subject_digest
from bennu.privacy.subject import SESSION_KEY
from bennu.storage.database import Database
from bennu.traces.spans.attributes import flatten
from bennu.traces.spans.openinference import decode_json_text
from bennu.users.model import USER

logger: Final = logging.getLogger("bennu.privacy")

_STEP_ANNOTATIONS: Final = 500


class ErasureReplay:
    """Brings a database up to the ledger."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        ledger: ErasureLedger,
        erasures: Erasures,
    ) -> None:
        self._database, self._vault, self._audit = database, vault, audit
        self._ledger, self._erasures = ledger, erasures

    async def replay_missing_erasures(self, key: bytes) -> int:
        """Erase again what the ledger names and this database has not carried out.

        Returns:
            How many entries there were.

        Raises:
            LedgerError: the ledger cannot be read; the server must not start.
        """
        missing = await self._missing(key)
        if not missing:
            return 0
        logger.warning("privacy.replay", extra={"erasures": len(missing)})
        counts, refused = await self._replay_users(missing, key)
        counts.update(await self._replay_people(missing, key))
        await self._erasures.leave_nothing()
        # What was refused is not carried out, and is tried again by the next start.
        done = [entry for entry in missing if refused.isdisjoint(entry.digests)]
        await self._database.write(partial(self._record, done=done, counts=counts))
        return len(missing)

    async def _missing(self, key: bytes) -> list[LedgerEntry]:
        known = await self._database.read(applied_entries)
        running = await self._database.read(lambda c: unfinished_jobs(c, self._vault.cipher))
        known |= {job.entry_id for job in running}
        missing: list[LedgerEntry] = []
        for entry in self._ledger.entries():
            if entry.id in known:
                continue
            if is_authentic(key, entry):
                missing.append(entry)
            else:
                # Of another database, or written by somebody without the key.
                logger.error("privacy.ledger_entry_unknown", extra={"entry": entry.id})
        return missing

    async def _replay_users(
        self, missing: Sequence[LedgerEntry], key: bytes
    ) -> tuple[Counter[str], set[str]]:
        """Erase accounts; return the counts, and the digests of those that must stay."""
        erased_at = {
            digest: entry.time_at
            for entry in missing
            if entry.kind == "user"
            for digest in entry.digests
        }
        counts: Counter[str] = Counter()
        refused: set[str] = set()
        if not erased_at:
            return counts, refused
        for row, created_at in await self._database.read(created_users):
            public_id = global_id(USER, row)
            digest = subject_digest(key, ("user", public_id))
            # A number that was given again after the backup was restored is somebody else.
            if digest in erased_at and created_at <= erased_at[digest]:
                found = await self._replay_user(row, public_id)
                counts.update(found)
                if found.get("refused"):
                    refused.add(digest)
        return counts, refused

    async def _replay_user(self, row: int, public_id: str) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        gone = 1
        while gone:
            gone = await self._database.write(
                lambda c: delete_annotations_by(c, row, public_id, _STEP_ANNOTATIONS)
            )
            counts["annotations"] += gone
        try:
            counts.update(await self._database.write(lambda c: erase_account(c, row, public_id)))
        except ConflictError:
            # Nobody could sign in to a server whose backup knows no other admin.
            logger.critical("privacy.replay_refused", extra={"user": public_id})
            counts["refused"] += 1
        return counts

    async def _replay_people(self, missing: Sequence[LedgerEntry], key: bytes) -> Mapping[str, int]:
        wanted: dict[str, set[str]] = {}
        for entry in missing:
            if entry.kind == "attribute":
                wanted.setdefault(entry.attribute, set()).update(entry.digests)
        counts: Counter[str] = Counter()
        if not wanted:
            return counts
        newest, place = await self._database.read(newest_span_row), 0
        while place < newest:
            until = min(place + WINDOW_ROWS, newest)
            found = await self._database.read(
                partial(spans_between, after_row=place, until_row=until)
            )
            rows = {row for row, text in found if _names_one_of(text, wanted, key)}
            counts.update(await self._erase(sorted(rows)))
            place = until
        if SESSION_KEY in wanted:
            counts.update(await self._erase(await self._of_sessions(wanted[SESSION_KEY], key)))
        return counts

    async def _of_sessions(self, digests: Collection[str], key: bytes) -> list[int]:
        rows: list[int] = []
        place, page = 0, [(0, "")]
        while page:
            after = place
            page = await self._database.read(lambda c: sessions_after(c, after, WINDOW_ROWS))  # noqa: B023 - read at once
            rows += [row for row, name in page if _is_one_of(SESSION_KEY, name, digests, key)]
            place = page[-1][0] if page else place
        return await self._database.read(lambda c: traces_of_session_rows(c, rows))

    async def _erase(self, rows: Sequence[int]) -> Mapping[str, int]:
        free, held = await self._database.read(lambda c: sizes_of(c, rows))
        counts: Counter[str] = Counter(held_traces=len(held))
        for part in parts_of(free):
            counts.update(await self._database.write(partial(erase_traces, trace_rows=part)))
        return counts

    def _record(
        self, connection: Connection, done: Sequence[LedgerEntry], counts: Mapping[str, int]
    ) -> None:
        now = to_microseconds(self._database.clock.now_utc())
        for entry in done:
            note_applied(connection, entry.id, now)
        found = {name: number for name, number in sorted(counts.items()) if number}
        after = {"state": "replayed", "counts": found}
        event = AuditEvent(EventName.PRIVACY_ERASED, target=Target("subject"), after=after)
        self._audit.record(connection, event, Caller(SERVER))


def _names_one_of(text: bytes, wanted: Mapping[str, Collection[str]], key: bytes) -> bool:
    attributes = flatten(decode_json_text(text))
    return any(
        _is_one_of(name, value, digests, key)
        for name, digests in wanted.items()
        for value in _values(attributes, name)
    )


def _values(attributes: Mapping[str, Any], name: str) -> Iterator[object]:
    if name in attributes:
        yield attributes[name]


def _is_one_of(name: str, value: object, digests: Collection[str], key: bytes) -> bool:
    if not isinstance(value, str | int | float | bool):
        return False
    return subject_digest(key, ("attribute", name, value)) in digests
