"""The embedded database: one writer thread, a few readers, one connection for tiny reads.

A commit is on the disk when ``write`` returns (``synchronous=FULL``).
Source: sqlite.org/wal.html, sqlite.org/pragma.html. Decision 5.
"""

import asyncio
import itertools
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

from bennu.storage.epoch import read_security_epoch
from bennu.storage.failures import database_failures
from bennu.storage.settings import StorageSettings

T = TypeVar("T")
Work = Callable[[Connection], T]

READERS: Final = 2
BUSY_TIMEOUT_SECONDS: Final = 15
PAGE_SIZE_BYTES: Final = 8192
CACHE_KIBIBYTES: Final = 8192
WAL_PAGES: Final = 8000
_STOP: Final = 1 << 30
_PRIVATE_UMASK: Final = 0o077

_Job = tuple[int, int, Callable[[Connection], None] | None]


def _prepare_connection(connection: sqlite3.Connection) -> None:
    """Set up one connection; the page size counts only before the first table."""
    connection.isolation_level = None
    for statement in (
        f"PRAGMA page_size={PAGE_SIZE_BYTES}",
        "PRAGMA auto_vacuum=INCREMENTAL",
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA secure_delete=ON",
        f"PRAGMA wal_autocheckpoint={WAL_PAGES}",
        f"PRAGMA cache_size=-{CACHE_KIBIBYTES}",
        "PRAGMA temp_store=MEMORY",
    ):
        connection.execute(statement).close()


def _engine_for(path: Path | None) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:" if path is None else str(path),
            timeout=BUSY_TIMEOUT_SECONDS,
            check_same_thread=False,
        )
        _prepare_connection(connection)
        return connection

    pool = StaticPool if path is None else NullPool
    engine = create_engine("sqlite://", creator=connect, poolclass=pool)

    # The driver starts no transactions of its own; a reader gets one consistent view, a writer
    # takes the lock at once, so that two processes queue instead of failing half-way.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def create_private_file(path: Path) -> None:
    """Make the database file, and its folder, so that only the owner can read them."""
    previous = os.umask(_PRIVATE_UMASK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    finally:
        os.umask(previous)


class SqliteEngine:
    """All access to one SQLite database of this process."""

    def __init__(self, settings: StorageSettings) -> None:
        self._path = settings.sqlite_path
        self._engine = _engine_for(self._path)
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._order = itertools.count()
        self._writer = threading.Thread(target=self._write_jobs, name="bennu-writer", daemon=True)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="bennu-reader")
        self._local = threading.local()
        self._opened: list[Connection] = []
        self._tiny: Connection | None = None
        self._epoch: tuple[int, int] = (-1, -1)
        self._running = False

    async def start(self) -> None:
        """Create the file if need be and start the threads."""
        if self._path is not None:
            create_private_file(self._path)
        self._running = True
        self._writer.start()
        await self.write(lambda _: None, lane=0, prepare=None)

    async def stop(self) -> None:
        """Finish the queued jobs, fold the log into the file, close everything."""
        if not self._running:
            return
        self._running = False
        self._jobs.put((_STOP, next(self._order), None))
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in (*self._opened, self._tiny):
            if connection is not None:
                connection.close()
        self._engine.dispose()

    async def read(self, work: Work[T], *, tiny: bool) -> T:
        """Run a read; tiny ones inline, others in a reader thread."""
        if self._path is None:
            return await self.write(work, lane=0, prepare=None)
        if tiny:
            return self._read_inline(work)
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, self._read_here, work
        )

    async def write(self, work: Work[T], *, lane: int, prepare: Callable[[], None] | None) -> T:
        """Queue a job for the writer thread and wait until its commit is on the disk."""
        result: Future[T] = Future()

        def job(connection: Connection) -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(_run_transaction(connection, work, prepare))
            except BaseException as error:  # noqa: BLE001 - handed to the one who waits
                result.set_exception(error)

        self._jobs.put((lane, next(self._order), job))
        # Shielded: once begun, a job ends, whether or not the request still waits for it.
        return await asyncio.shield(asyncio.wrap_future(result))

    async def security_epoch(self) -> int:
        """Return the epoch; the row is read only when another connection committed."""
        if self._path is None:
            return await self.read(read_security_epoch, tiny=True)
        connection = self._tiny_connection()
        raw: Any = connection.connection.dbapi_connection
        with database_failures():
            version = raw.execute("PRAGMA data_version").fetchone()[0]
        if version != self._epoch[0]:
            self._epoch = (version, self._read_inline(read_security_epoch))
        return self._epoch[1]

    def _tiny_connection(self) -> Connection:
        if self._tiny is None:
            self._tiny = self._engine.connect()
        return self._tiny

    def _read_inline(self, work: Work[T]) -> T:
        connection = self._tiny_connection()
        with database_failures(), connection.begin():
            return work(connection)

    def _read_here(self, work: Work[T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._engine.connect()
            self._opened.append(connection)
        with database_failures(), connection.begin():
            return work(connection)

    def _write_jobs(self) -> None:
        """Body of the writer thread: its one connection does every change of this process."""
        connection: Connection | None = None
        while (job := self._jobs.get()[2]) is not None:
            if connection is None:
                connection = self._engine.connect().execution_options(begin="IMMEDIATE")
            job(connection)
        if connection is not None:
            if self._path is not None:
                raw: Any = connection.connection.dbapi_connection
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            connection.close()


def _run_transaction(
    connection: Connection, work: Work[T], prepare: Callable[[], None] | None
) -> T:
    if prepare is not None:
        prepare()
    with database_failures(), connection.begin():
        return work(connection)
