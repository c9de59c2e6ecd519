"""SQLite: one thread that writes, a few that read, and tiny reads on the event loop itself.

A thread hop costs more than a small indexed read, so those run where they are asked for, over
a connection of their own. A database in memory exists only inside its connection, hence there
everything goes through the writer.

Source: SQLite, Write-Ahead Logging; PRAGMA data_version.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from bennu.storage.engine import Lane
from bennu.storage.epoch import READ_EPOCH_SQL, read_security_epoch
from bennu.storage.failures import DatabaseUnavailableError, database_failures
from bennu.storage.recognise import refuse_foreign_file
from bennu.storage.sqlite_connection import (
    driver_of,
    make_private_file,
    reader_engine,
    writer_engine,
)
from bennu.storage.sqlite_worker import ConnectionThreads

T = TypeVar("T")

_READER_THREADS: Final = 3
#: The loop never waits long: what is locked at this moment is read in a thread instead.
_LOOP_WAIT_SECONDS: Final = 0.05
_SCRUB_TRIES: Final = 100
_SCRUB_PAUSE_SECONDS: Final = 0.1
_SCRUB_WAIT_SECONDS: Final = 1.0


class SqliteEngine:
    """One SQLite database.

    Args:
        path: of the file, or None for a database in memory.
        lock_wait_seconds: how long another process may hold the write lock before a write
            is refused.
    """

    def __init__(self, path: Path | None, *, lock_wait_seconds: float) -> None:
        self._path = path
        target = ":memory:" if path is None else str(path)
        self._writer = ConnectionThreads(
            writer_engine(target, lock_wait_seconds),
            name="bennu-writer",
            thread_count=1,
            keep_connection=path is None,
            at_end=_empty_write_ahead_log,
        )
        self._readers = ConnectionThreads(
            reader_engine(target, lock_wait_seconds),
            name="bennu-reader",
            thread_count=_READER_THREADS,
        )
        self._inline_engine = reader_engine(target, _LOOP_WAIT_SECONDS, begins_transactions=False)
        self._inline: Connection | None = None
        self._inline_driver: sqlite3.Connection | None = None
        self._data_version = -1
        self._epoch = 0

    async def start(self) -> None:
        """Open the database, making it when there is none.

        Raises:
            ForeignDatabaseError: the file belongs to another application; it was only read.
        """
        if self._path is None:
            await self._writer.start()
            return
        refuse_foreign_file(self._path)
        make_private_file(self._path)
        await self._writer.start()
        try:
            await self._readers.start()
            with database_failures():
                self._inline = self._inline_engine.connect()
                # To SQLAlchemy one transaction that never ends; see _read_inline.
                self._inline.begin()
                self._inline_driver = driver_of(self._inline)
        except DatabaseUnavailableError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish what is queued, move the write-ahead log into the file, close."""
        await self._readers.stop()
        if self._inline is not None:
            self._inline.close()
            self._inline = self._inline_driver = None
        await self._writer.stop()

    async def read(self, work: Callable[[Connection], T], *, tiny: bool) -> T:
        """Run ``work`` in a reader thread, or here and now when it is tiny."""
        if self._path is None:
            return await self._writer.run(work)
        if tiny and self._inline is not None and self._inline_driver is not None:
            try:
                with database_failures():
                    return _read_inline(self._inline, self._inline_driver, work)
            except DatabaseUnavailableError as error:
                if not error.busy:
                    raise
        return await self._readers.run(work)

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        lane: Lane,
        prepare: Callable[[], None] | None,
        is_lasting: bool,
    ) -> T:
        """Run ``work`` in the writer thread; ``prepare`` there too, before the lock is taken."""
        return await self._writer.run(work, lane=lane, prepare=prepare, is_lasting=is_lasting)

    async def scrub(self) -> None:
        """Empty the write-ahead log, which still holds what was deleted."""
        path = self._path
        if path is None:
            return
        for _ in range(_SCRUB_TRIES):
            with database_failures():
                if await asyncio.to_thread(_is_log_emptied, path):
                    return
            await asyncio.sleep(_SCRUB_PAUSE_SECONDS)
        raise DatabaseUnavailableError("the write-ahead log cannot be emptied now")

    async def security_epoch(self) -> int:
        """Return the epoch; the row is read only when some commit happened since the last time."""
        if self._inline_driver is None:
            return await self.read(read_security_epoch, tiny=True)
        with database_failures():
            version = self._inline_driver.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            # The version was read first: what is committed in between is seen again next time.
            self._epoch = await self._read_epoch(self._inline_driver)
            self._data_version = version
        return self._epoch

    async def _read_epoch(self, driver: sqlite3.Connection) -> int:
        """Read the row with the driver alone: under ingest this is asked at every request."""
        try:
            with database_failures():
                return int(driver.execute(READ_EPOCH_SQL).fetchone()[0])
        except DatabaseUnavailableError as error:
            if not error.busy:
                raise
        return await self._readers.run(read_security_epoch)


def _read_inline(
    connection: Connection, driver: sqlite3.Connection, work: Callable[[Connection], T]
) -> T:
    """Read in a transaction of the driver: SQLAlchemy's own costs as much as the query."""
    driver.execute("BEGIN")
    try:
        return work(connection)
    finally:
        driver.rollback()


def _is_log_emptied(path: Path) -> bool:
    """Move the log into the file and cut it to nothing, unless readers are in the way."""
    connection = sqlite3.connect(path, timeout=_SCRUB_WAIT_SECONDS, isolation_level=None)
    try:
        is_busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.close()
    return not is_busy


def _empty_write_ahead_log(connection: Connection) -> None:
    driver_of(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)")
