"""The one door to the database: ``read`` and ``write`` run plain functions over a Connection.

Stores know neither threads nor the event loop; the same store runs on SQLite and PostgreSQL.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection

from bennu.kernel.clock import Clock
from bennu.storage.engine import Dialect, Engine, Lane
from bennu.storage.settings import StorageSettings
from bennu.storage.sqlite_engine import SqliteEngine

__all__ = ["Connection", "Database", "Lane"]

T = TypeVar("T")

_LOCK_WAIT_SECONDS: Final = 15.0


class Database:
    """The database that the settings name.

    Args:
        settings: where it is.
        clock: what time it is, for rows that the start itself makes.
        lock_wait_seconds: how long another process may hold the lock of a SQLite file before a
            write is refused.
        password_source: asked for a password before every new connection to PostgreSQL, in place
            of what the settings say (a password, or tokens of a cloud).

    Raises:
        InvalidError: a library that the settings need is not installed.
    """

    def __init__(
        self,
        settings: StorageSettings,
        clock: Clock,
        *,
        lock_wait_seconds: float = _LOCK_WAIT_SECONDS,
        password_source: Callable[[], str] | None = None,
    ) -> None:
        self.dialect: Dialect = settings.dialect
        self.clock = clock
        if settings.log_sql:
            # Statements without their values; engines ask for the level when they are made.
            logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
        self._engine = _engine_for(settings, lock_wait_seconds, password_source)

    async def start(self) -> None:
        """Open the database and start the threads or the pool; no migration.

        Raises:
            UnavailableError: it cannot be opened or reached.
            ForeignDatabaseError: the file belongs to another application; it was only read.
        """
        await self._engine.start()

    async def stop(self) -> None:
        """Finish what is queued, then close everything; nothing committed is lost without it."""
        await self._engine.stop()

    async def read(self, work: Callable[[Connection], T], *, tiny: bool = False) -> T:
        """Run ``work`` in a transaction that sees one state of the database and changes none.

        Args:
            work: a synchronous function; what it returns must not need the connection any more.
            tiny: one or two indexed rows; on a SQLite file it runs on the event loop itself.

        Raises:
            UnavailableError: the database cannot serve now.
        """
        return await self._engine.read(work, tiny=tiny)

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        lane: Lane = Lane.ADMIN,
        prepare: Callable[[], None] | None = None,
        is_lasting: bool = True,
    ) -> T:
        """Run ``work`` in one transaction; when this returns, it is on the disk.

        An exception of ``work`` rolls back and passes through. A caller that is cancelled while
        its work runs does not stop it.

        Args:
            work: a synchronous function; on PostgreSQL it runs on the event loop, so that what
                takes long without the database belongs into ``prepare``.
            lane: administrative work goes before ingest.
            prepare: runs first, in another thread, while no lock is held.
            is_lasting: False for what a power failure may undo, such as a count of failures; it
                saves the wait for the disk. The end of the process undoes nothing.

        Raises:
            UnavailableError: the database cannot serve now; nothing was changed.
        """
        return await self._engine.write(work, lane=lane, prepare=prepare, is_lasting=is_lasting)

    async def scrub(self) -> None:
        """Take what was deleted off the disk, as far as the database itself keeps it.

        Pages of SQLite are overwritten by each deletion (``secure_delete``); here its write-ahead
        log is emptied. PostgreSQL drops old versions of rows with its own vacuum.

        Raises:
            UnavailableError: readers are in the way for too long; try again.
        """
        await self._engine.scrub()

    async def security_epoch(self) -> int:
        """Return the number that every change of authority moves, as it is at this moment.

        Raises:
            UnavailableError: the database cannot serve now.
        """
        return await self._engine.security_epoch()


def _engine_for(
    settings: StorageSettings,
    lock_wait_seconds: float,
    password_source: Callable[[], str] | None,
) -> Engine:
    if settings.postgres is None:
        return SqliteEngine(settings.sqlite_path, lock_wait_seconds=lock_wait_seconds)
    # SQLite needs neither.
    from bennu.storage.cloud_identity import cloud_password_source  # noqa: PLC0415
    from bennu.storage.postgres_engine import PostgresEngine  # noqa: PLC0415

    source = password_source or cloud_password_source(settings.postgres)
    return PostgresEngine(settings.postgres, settings.schema, password_source=source)
