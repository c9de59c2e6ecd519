"""Deletes records older than the retention and leaves a chain that verifies from there on.

The head says, under its MAC, which record is the first that is kept and what the hash before it
was. What is deleted is verified first: a trail that somebody tampered with is not tidied up.

Spec: lines 256-260, 264.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Final

from sqlalchemy import Connection

from bennu.access import SERVER, Caller
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog, BrokenTrailError, authentic_head
from bennu.audit.store import delete_records_until, move_head, records_page
from bennu.audit.verify import problem_of
from bennu.kernel.clock import Clock, to_microseconds
from bennu.storage.database import Database

#: So many are verified and deleted while the chain is locked: some milliseconds.
BATCH_RECORDS: Final = 500


class AuditPruning:
    """Keeps the trail to its retention.

    Args:
        database: of the trail.
        clock: what time it is.
        audit: the trail; started before the first call.
        retention: how long records are kept, at least a day.
        batch_records: how many are deleted in one transaction.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        audit: AuditLog,
        retention: timedelta,
        *,
        batch_records: int = BATCH_RECORDS,
    ) -> None:
        self._database, self._clock, self._audit = database, clock, audit
        self._retention, self._batch_records = retention, batch_records
        self._unrecorded = 0

    async def prune_old_records(self) -> int:
        """Delete what is older than the retention, in batches, then record how much that was.

        The record comes last and is made up for at the next call when it cannot be written now:
        on a full disk, deleting must come first.

        Returns:
            The number of records deleted.

        Raises:
            BrokenTrailError: the head, or a record that is old enough, is not as it was written.
            UnavailableError: the database cannot serve now.
        """
        cutoff = self._clock.now_utc() - self._retention
        total, deleted = 0, self._batch_records
        while deleted == self._batch_records:
            deleted = await self._database.write(partial(self._delete_batch, cutoff=cutoff))
            total += deleted
            self._unrecorded += deleted
        if self._unrecorded:
            swept = {"cutoff_utc": cutoff.isoformat(), "deleted": self._unrecorded}
            event = AuditEvent(EventName.RETENTION_SWEPT, target=Target("audit"), after=swept)
            await self._audit.note(event, Caller(SERVER))
            self._unrecorded = 0
        return total

    def _delete_batch(self, connection: Connection, cutoff: datetime) -> int:
        key = self._audit.chain_key()
        head = authentic_head(connection, key)
        cutoff_at = to_microseconds(cutoff)
        page = records_page(connection, head.first_sequence - 1, self._batch_records)
        # Up to the first that is kept: a clock that was set back must not tear a hole.
        old = list(takewhile(lambda row: row["time_at"] < cutoff_at, page))
        if not old:
            return 0
        previous_hash = head.base_hash
        for sequence, row in enumerate(old, head.first_sequence):
            problem = problem_of(key, previous_hash, sequence, row)
            if problem is not None:
                raise BrokenTrailError(
                    "The audit trail was changed; run `bennu audit verify`",
                    detail=f"audit: record {sequence} {problem}; nothing is pruned",
                )
            previous_hash = row["chain_hash"]
        last = old[-1]["sequence"]
        delete_records_until(connection, last)
        move_head(connection, key, replace(head, first_sequence=last + 1, base_hash=previous_hash))
        return len(old)
