"""PostgreSQL: asyncpg below SQLAlchemy, one connection for ingest and a small pool for the rest.

Spec: lines 239-244 (managed PostgreSQL).
Source: PostgreSQL documentation, "Asynchronous Commit", "Transaction Isolation".
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bennu.kernel.errors import InvalidError
from bennu.storage.after_commit import with_actions
from bennu.storage.engine import Lane
from bennu.storage.epoch import read_security_epoch
from bennu.storage.failures import DatabaseUnavailableError, connection_failures
from bennu.storage.postgres_tls import tls_options
from bennu.storage.settings import PostgresSettings

T = TypeVar("T")

_POOL_SIZE: Final = 6
_POOL_WAIT_SECONDS: Final = 10
_CONNECT_SECONDS: Final = 10
#: No statement of a request or a sweep comes near this; it ends waiting for a dead network.
_STATEMENT_SECONDS: Final = 120
#: How long an end of the server waits for transactions under way.
_STOP_SECONDS: Final = 4
#: Below the idle limits of usual firewalls and proxies.
_RECYCLE_SECONDS: Final = 1800


class MissingDriverError(InvalidError):
    """PostgreSQL is asked for and its driver is not installed."""

    code = "missing_driver"


class PostgresEngine:
    """One PostgreSQL database.

    Args:
        settings: where it is and how to reach it.
        schema: first and only schema of the search path, or None for the server's default.
        password_source: asked in a thread before every new connection, for passwords that expire.

    Raises:
        MissingDriverError: the extra ``postgres`` is not installed.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        schema: str | None,
        *,
        password_source: Callable[[], str] | None = None,
    ) -> None:
        self._settings = settings
        self._password_source = password_source
        self._session_settings = {
            "application_name": "bennu",
            "synchronous_commit": "on",
            "timezone": "UTC",
        }
        if schema is not None:
            self._session_settings["search_path"] = '"' + schema.replace('"', '""') + '"'
        self._ingest = self._pool(size=1)
        self._admin = self._pool(size=_POOL_SIZE)
        self._reads = self._admin.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._tiny_reads = self._admin.execution_options(isolation_level="AUTOCOMMIT")
        self._ingest_turn = asyncio.Lock()
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="bennu-prepare")
        self._writes: set[asyncio.Task[Any]] = set()
        self._running_epoch: asyncio.Task[int] | None = None
        self._next_epoch: asyncio.Task[int] | None = None
        self._is_open = False

    def _pool(self, size: int) -> AsyncEngine:
        settings = self._settings
        try:
            engine = create_async_engine(
                URL.create(
                    "postgresql+asyncpg",
                    username=settings.user,
                    host=settings.host,
                    port=settings.port,
                    database=settings.database,
                ),
                pool_size=size,
                max_overflow=0,
                pool_timeout=_POOL_WAIT_SECONDS,
                pool_recycle=_RECYCLE_SECONDS,
                pool_use_lifo=True,
                # Why safe: values of a statement can be secrets and never reach a log.
                hide_parameters=True,
            )
        except ModuleNotFoundError:
            raise MissingDriverError(
                "PostgreSQL needs a driver that is not installed: pip install 'bennu[postgres]'"
            ) from None
        event.listen(engine.sync_engine, "do_connect", self._complete_connect_options)
        event.listen(engine.sync_engine.pool, "checkout", _refuse_closed_connection)
        return engine

    def _complete_connect_options(
        self, _dialect: object, _record: object, _arguments: object, options: dict[str, Any]
    ) -> None:
        """Add what is not kept in the engine's URL, anew for each connection."""
        options.update(tls_options(self._settings))
        options["timeout"] = _CONNECT_SECONDS
        options["command_timeout"] = _STATEMENT_SECONDS
        options["server_settings"] = self._session_settings
        if self._password_source is not None:
            source = self._password_source
            options["password"] = lambda: asyncio.to_thread(source)
        elif self._settings.password is not None:
            options["password"] = self._settings.password.reveal()

    async def start(self) -> None:
        """Make sure that the server can be reached and lets us in."""
        self._is_open = True
        with connection_failures():
            async with self._tiny_reads.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")

    async def stop(self) -> None:
        """Finish the writes that have begun, then close every connection.

        A server that does not answer any more is not waited for: what it did not confirm was
        not acknowledged to anybody.
        """
        self._is_open = False
        if self._writes:
            await asyncio.wait(self._writes, timeout=_STOP_SECONDS)
        self._preparing.shutdown(wait=False)
        await self._ingest.dispose()
        await self._admin.dispose()

    async def read(self, work: Callable[[Connection], T], *, tiny: bool) -> T:
        """Run ``work`` read-only on one snapshot; a tiny one takes a single round trip a query."""
        self._refuse_when_closed()
        engine = self._tiny_reads if tiny else self._reads
        with connection_failures():
            async with engine.connect() as connection:
                return await connection.run_sync(work)

    async def write(
        self,
        work: Callable[[Connection], T],
        *,
        lane: Lane,
        prepare: Callable[[], None] | None,
        is_lasting: bool,
    ) -> T:
        """Run ``work`` in one transaction; ingest has one connection of its own."""
        self._refuse_when_closed()
        if not is_lasting:
            work = _without_waiting(work)
        task = asyncio.create_task(self._write(work, lane, prepare))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        task.add_done_callback(_take_note)
        # Shielded: what has begun ends with a commit or a rollback, whoever stops waiting.
        return await asyncio.shield(task)

    async def _write(
        self, work: Callable[[Connection], T], lane: Lane, prepare: Callable[[], None] | None
    ) -> T:
        if prepare is not None:
            await asyncio.get_running_loop().run_in_executor(self._preparing, prepare)
        if lane is not Lane.INGEST:
            return await _in_transaction(self._admin, work)
        async with self._ingest_turn:
            return await _in_transaction(self._ingest, work)

    async def scrub(self) -> None:
        """Leave old versions of rows to the vacuum of the server."""

    async def security_epoch(self) -> int:
        """Return the epoch, read anew: another process may have moved it a moment ago.

        Callers that come while a query is under way share the next one. They never get the
        answer of the one under way: it may be older than a change that they must see.
        """
        if self._next_epoch is None:
            self._next_epoch = asyncio.create_task(self._read_epoch(self._running_epoch))
            self._next_epoch.add_done_callback(_take_note)
        return await asyncio.shield(self._next_epoch)

    async def _read_epoch(self, previous: asyncio.Task[int] | None) -> int:
        if previous is not None:
            await asyncio.wait({previous})
        self._running_epoch, self._next_epoch = self._next_epoch, None
        return await self.read(read_security_epoch, tiny=True)

    def _refuse_when_closed(self) -> None:
        if not self._is_open:
            raise DatabaseUnavailableError("the database is closed")


def _take_note(task: asyncio.Task[Any]) -> None:
    """Take the outcome; when everybody has stopped waiting there is nobody else to tell."""
    if not task.cancelled():
        task.exception()


def _without_waiting(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """Let the commit not wait for the disk; the transaction is undone as a whole or not at all."""

    def run(connection: Connection) -> T:
        connection.execute(text("SET LOCAL synchronous_commit TO OFF"))
        return work(connection)

    return run


async def _in_transaction(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    with connection_failures():
        async with engine.begin() as connection:
            result, actions = await connection.run_sync(with_actions(work))
    for action in actions:
        action()
    return result


def _refuse_closed_connection(
    dbapi_connection: Any,  # noqa: ANN401 - a class of the driver, which has no types
    _record: object,
    _proxy: object,
) -> None:
    """Let the pool replace what a restart of the server has closed; costs no round trip."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError
