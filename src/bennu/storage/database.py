"""The one door to the database, the same for SQLite and PostgreSQL.

Stores are plain functions over a ``Connection``; ``read`` and ``write`` run them where they block
nobody. One call is one transaction: committed, and on the disk, before it returns.

Spec: lines 239-244.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

from sqlalchemy import Connection

from bennu.storage.postgres_engine import PostgresEngine
from bennu.storage.settings import Dialect, StorageSettings
from bennu.storage.sqlite_engine import SqliteEngine

T = TypeVar("T")


class Lane(IntEnum):
    """Who goes first when several want to write."""

    ADMIN = 0
    INGEST = 1


class Database:
    """Reads and writes of one database."""

    def __init__(
        self, settings: StorageSettings, password_source: Callable[[], str] | None = None
    ) -> None:
        self.dialect: Dialect = settings.dialect
        self._engine: SqliteEngine | PostgresEngine = (
            SqliteEngine(settings)
            if settings.dialect == "sqlite"
            else PostgresEngine(settings, password_source)
        )

    async def start(self) -> None:
        """Connect.

        Raises:
            UnavailableError: the database cannot be reached.
        """
        await self._engine.start()

    async def stop(self) -> None:
        """Finish what was queued and disconnect."""
        await self._engine.stop()

    async def read(self, work: Callable[[Connection], T], *, tiny: bool = False) -> T:
        """Run a read and return what it returns.

        Args:
            work: a function over a connection; it must return values, not open results.
            tiny: it takes microseconds (one indexed row or a short table), so that it may run
                inline on the event loop.

        Raises:
            UnavailableError: the database does not answer.
        """
        return await self._engine.read(work, tiny=tiny)

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        lane: Lane = Lane.ADMIN,
        prepare: Callable[[], None] | None = None,
    ) -> T:
        """Run a change in one transaction; any exception rolls it back.

        Args:
            work: the change.
            lane: ingest waits for administrative work.
            prepare: work without the database, done before the transaction begins, off the loop.

        Raises:
            UnavailableError: it could not be written; nothing was changed.
        """
        return await self._engine.write(work, lane=lane, prepare=prepare)

    async def security_epoch(self) -> int:
        """Return the number that every change of authority moves."""
        return await self._engine.security_epoch()
