"""Re-seals everything under the newest key while the servers go on serving.

Which columns are sealed stands on the page of tables, so none can be forgotten. Each column is
walked along its primary key in small batches; a value is replaced only where it still is what
was read, so a change made meanwhile is never overwritten. Nothing but the database remembers how
far it got: after a kill, the next run takes up what is still under an older key.

Spec: line 178 (key rotation), 164-170 (what is encrypted).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Column, Connection, bindparam, func, select, tuple_, update

from bennu.encryption.cipher import KEY_ID_LENGTH, Cipher, SealError
from bennu.encryption.vault import drop_seal_check, seal_checks
from bennu.kernel.errors import UnavailableError
from bennu.storage.database import Database
from bennu.storage.schema import metadata

T = TypeVar("T")

BATCH_ROWS: Final = 200
#: Long enough for a server that waits for the write lock of SQLite to get it.
PAUSE_SECONDS: Final = 0.005
_PASSES: Final = 5
_TRIES: Final = 20
_RETRY_SECONDS: Final = 0.5

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a rotation did, or would do.

    Args:
        key_id: the newest key.
        dry_run: whether nothing was changed.
        outdated: values under other keys when it began.
        resealed: values that this run re-sealed; on PostgreSQL a value that somebody else
            changed at the same moment may be counted too.
        unopened: values left as they are, because their key is missing or they are damaged.
        values: how many values there are per key afterwards; keys without values are left out.
        retired: keys of which nothing is left, so that their secrets may go.
    """

    key_id: str
    dry_run: bool
    outdated: int
    resealed: int
    unopened: int
    values: Mapping[str, int]
    retired: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything is under the newest key."""
        return all(key_id == self.key_id for key_id in self.values)


#: Writes the audit record in the transaction that ends the rotation.
RecordRotation = Callable[[Connection, RotationReport], None]


def sealed_columns() -> tuple[Column[str], ...]:
    """Return every column that is marked as sealed, in the order of the page of tables."""
    return tuple(
        column
        for table in metadata.tables.values()
        for column in table.columns
        if column.info.get("sealed")
    )


def count_sealed_values(connection: Connection) -> dict[str, int]:
    """Count sealed values per key id; what names no key is counted under ``""``."""
    counts: Counter[str] = Counter()
    for column in sealed_columns():
        key_id = func.substr(column, 1, KEY_ID_LENGTH + 1)
        counted = select(key_id, func.count()).where(column.is_not(None)).group_by(key_id)
        for prefix, count in connection.execute(counted):
            counts[prefix[:-1] if prefix.endswith(":") else ""] += count
    return dict(counts)


class Rotation:
    """One run of the rotation.

    Args:
        database: started.
        cipher: its newest key is the one to end under; it must hold the older ones too.
        progress: told how many of how many values are done.
        batch_rows: values per transaction.
        pause_seconds: rest between two transactions.
    """

    def __init__(
        self,
        database: Database,
        cipher: Cipher,
        progress: Progress | None = None,
        *,
        batch_rows: int = BATCH_ROWS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._progress = progress
        self._batch_rows = batch_rows
        self._pause_seconds = pause_seconds
        self._outdated = 0
        self._resealed = 0
        self._unopened = 0
        self._tried = 0

    async def preview(self) -> RotationReport:
        """Count what a run would re-seal, and change nothing."""
        values = await self._database.read(count_sealed_values)
        self._outdated = self._outdated_in(values)
        return self._report(values, dry_run=True, retired=())

    async def run(self, record: RecordRotation) -> RotationReport:
        """Re-seal everything that is not under the newest key.

        Args:
            record: writes the audit record in the last transaction; not called when there was
                nothing to do.

        Raises:
            UnavailableError: the database stayed away; run it again later, nothing is lost.
        """
        self._outdated = self._outdated_in(await self._database.read(count_sealed_values))
        for _ in range(_PASSES):
            self._tried = self._unopened = 0
            for column in sealed_columns():
                await self._reseal_column(column)
            if not self._tried:
                break
        return await self._database.write(lambda connection: self._finish(connection, record))

    async def _reseal_column(self, column: Column[str]) -> None:
        after: tuple[Any, ...] | None = None
        while batch := await self._outdated_rows(column, after):
            after = tuple(batch[-1][:-1])
            changes = self._reseal(column, batch)
            if changes:
                self._tried += len(changes)
                self._resealed += await self._replace(column, changes)
                self._tell_progress()
            await asyncio.sleep(self._pause_seconds)

    async def _outdated_rows(
        self, column: Column[str], after: tuple[Any, ...] | None
    ) -> list[tuple[Any, ...]]:
        """Read the next rows: their primary keys and, last, the sealed value."""
        keys = tuple(column.table.primary_key.columns)
        statement = (
            select(*keys, column)
            .where(column.is_not(None), column.not_like(f"{self._cipher.current_key_id}:%"))
            .order_by(*keys)
            .limit(self._batch_rows)
        )
        if after is not None:
            statement = statement.where(
                tuple_(*keys) > tuple_(*after, types=[key.type for key in keys])
            )
        return await _patiently(
            lambda: self._database.read(
                lambda connection: [tuple(row) for row in connection.execute(statement)]
            )
        )

    def _reseal(self, column: Column[str], batch: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        keys = tuple(column.table.primary_key.columns)
        changes: list[dict[str, Any]] = []
        for *row_key, sealed in batch:
            try:
                resealed = self._cipher.seal(self._cipher.open(sealed))
            except SealError:
                self._unopened += 1
                continue
            change = {f"key_{key.name}": part for key, part in zip(keys, row_key, strict=True)}
            changes.append({**change, "old_value": sealed, "new_value": resealed})
        return changes

    async def _replace(self, column: Column[str], changes: list[dict[str, Any]]) -> int:
        """Put the new values where the old ones still are, in one small transaction.

        Returns:
            How many were replaced; all, where the database does not tell.
        """
        statement = (
            update(column.table)
            .where(column == bindparam("old_value"))
            .values({column: bindparam("new_value")})
        )
        for key in column.table.primary_key.columns:
            statement = statement.where(key == bindparam(f"key_{key.name}"))

        def work(connection: Connection) -> int:
            replaced = connection.execute(statement, changes).rowcount
            return replaced if replaced >= 0 else len(changes)

        return await _patiently(lambda: self._database.write(work))

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._progress(self._resealed, max(self._outdated, self._resealed))

    def _finish(self, connection: Connection, record: RecordRotation) -> RotationReport:
        """Count again and forget the keys of which nothing is left."""
        values = count_sealed_values(connection)
        retired = tuple(
            key_id
            for key_id in seal_checks(connection)
            if key_id != self._cipher.current_key_id and not values.get(key_id)
        )
        for key_id in retired:
            drop_seal_check(connection, key_id)
        report = self._report(values, dry_run=False, retired=retired)
        if report.resealed or report.retired:
            record(connection, report)
        return report

    def _report(
        self, values: Mapping[str, int], *, dry_run: bool, retired: tuple[str, ...]
    ) -> RotationReport:
        return RotationReport(
            key_id=self._cipher.current_key_id,
            dry_run=dry_run,
            outdated=self._outdated,
            resealed=self._resealed,
            unopened=self._unopened,
            values=values,
            retired=retired,
        )

    def _outdated_in(self, values: Mapping[str, int]) -> int:
        return sum(
            count for key_id, count in values.items() if key_id != self._cipher.current_key_id
        )


async def _patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again while the database is busy: the servers' own work goes first."""
    for _ in range(_TRIES - 1):
        try:
            return await attempt()
        except UnavailableError:
            await asyncio.sleep(_RETRY_SECONDS)
    return await attempt()
