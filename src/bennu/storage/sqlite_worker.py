"""Threads that each own one SQLite connection and take their work from one queue."""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy import Engine as SqlEngine

from bennu.storage.after_commit import with_actions
from bennu.storage.failures import DatabaseUnavailableError, database_failures
from bennu.storage.sqlite_connection import driver_of

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LAST: Final = 99


@dataclass(frozen=True, slots=True, order=True)
class _Job:
    """One piece of work; the queue orders by lane, then by arrival. ``work`` None ends a thread."""

    lane: int
    arrival: int
    work: Callable[[Connection], Any] | None = field(compare=False, default=None)
    prepare: Callable[[], None] | None = field(compare=False, default=None)
    is_lasting: bool = field(compare=False, default=True)
    outcome: "Future[Any]" = field(compare=False, default_factory=Future)


class ConnectionThreads:
    """A few threads over one queue; one thread makes a writer, several make readers.

    A job runs in one transaction that is committed before its outcome is told. A caller that
    stops waiting withdraws a job that has not begun; one that has begun runs to its end.

    Args:
        engine: where each thread opens its connection.
        name: of the threads, for a stack dump.
        thread_count: 1 or more.
        keep_connection: never open a second connection; for a database that lives in memory.
        at_end: what a thread does with its connection before it closes it.
    """

    def __init__(
        self,
        engine: SqlEngine,
        *,
        name: str,
        thread_count: int,
        keep_connection: bool = False,
        at_end: Callable[[Connection], None] | None = None,
    ) -> None:
        self._engine = engine
        self._name = name
        self._thread_count = thread_count
        self._keep_connection = keep_connection
        self._at_end = at_end
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._arrivals = count()
        self._threads: list[threading.Thread] = []
        self._is_open = False
        self._gate = threading.Lock()

    async def start(self) -> None:
        """Start the threads and open their connections.

        Raises:
            UnavailableError: the database cannot be opened.
        """
        opened: list[Future[None]] = []
        for number in range(self._thread_count):
            ready: Future[None] = Future()
            thread = threading.Thread(
                target=self._serve, args=(ready,), name=f"{self._name}-{number}", daemon=True
            )
            self._threads.append(thread)
            opened.append(ready)
            thread.start()
        self._is_open = True
        try:
            for ready in opened:
                await asyncio.wrap_future(ready)
        except DatabaseUnavailableError:
            await self.stop()
            raise

    async def run(
        self,
        work: Callable[[Connection], T],
        *,
        lane: int = 0,
        prepare: Callable[[], None] | None = None,
        is_lasting: bool = True,
    ) -> T:
        """Run ``work`` in one of the threads, in one transaction.

        Args:
            work: gets the connection of the thread.
            lane: the smaller number goes first.
            prepare: runs in the thread before the transaction.
            is_lasting: whether a power failure must not undo it.

        Raises:
            UnavailableError: the database cannot serve now, or it is being closed.
        """
        job = _Job(lane, next(self._arrivals), work, prepare, is_lasting)
        with self._gate:
            if not self._is_open:
                raise DatabaseUnavailableError("the database is closed")
            self._jobs.put(job)
        result: T = await asyncio.wrap_future(job.outcome)
        return result

    async def stop(self) -> None:
        """Finish the queued jobs, close the connections, end the threads."""
        with self._gate:
            self._is_open = False
            for _ in self._threads:
                self._jobs.put(_Job(_LAST, next(self._arrivals)))
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._threads.clear()

    def _serve(self, ready: "Future[None]") -> None:
        connection: Connection | None = None
        try:
            with database_failures():
                connection = self._engine.connect()
        except BaseException as error:  # noqa: BLE001 - told to whoever starts the threads
            ready.set_exception(error)
        else:
            ready.set_result(None)
        while (job := self._jobs.get()).work is not None:
            connection = self._serve_one(job, connection)
        if connection is not None:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        try:
            if self._at_end is not None:
                self._at_end(connection)
        except sqlite3.Error as error:
            # Nothing is lost: what is committed stays in the write-ahead log.
            _log.warning("last work on the database failed: %s", error)
        finally:
            connection.close()

    def _serve_one(self, job: _Job, connection: Connection | None) -> Connection | None:
        """Run one job, tell its outcome, and return the connection for the next one."""
        if job.work is None or not job.outcome.set_running_or_notify_cancel():
            return connection
        try:
            if job.prepare is not None:
                job.prepare()
            with database_failures():
                connection = connection or self._engine.connect()
                with _commits(connection, is_lasting=job.is_lasting), connection.begin():
                    result, actions = with_actions(job.work)(connection)
            for action in actions:
                action()
        except BaseException as error:  # noqa: BLE001 - told to the one who waits, whatever it is
            if isinstance(error, DatabaseUnavailableError) and not error.busy:
                connection = self._discard(connection)
            job.outcome.set_exception(error)
        else:
            job.outcome.set_result(result)
        return connection

    def _discard(self, connection: Connection | None) -> Connection | None:
        """Close a connection on which the file failed; the next job opens a new one."""
        if connection is None or self._keep_connection:
            return connection
        connection.invalidate()
        connection.close()
        return None


@contextmanager
def _commits(connection: Connection, *, is_lasting: bool) -> Iterator[None]:
    """Let commits inside wait for the disk or not; see PRAGMA synchronous.

    A later commit that waits brings all earlier ones to the disk with it.
    """
    if is_lasting:
        yield
        return
    driver = driver_of(connection)
    driver.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        driver.execute("PRAGMA synchronous = FULL")
