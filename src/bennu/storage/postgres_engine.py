"""PostgreSQL: asyncpg under SQLAlchemy, TLS as libpq understands it.

A commit is on the server's disk when ``write`` returns (``synchronous_commit=on``).
Source: libpq documentation, section "SSL Support". Spec: lines 239-244. Decision 5.
"""

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateSchema

from bennu.storage.epoch import read_security_epoch
from bennu.storage.failures import database_failures
from bennu.storage.settings import PostgresSettings, StorageSettings

T = TypeVar("T")
Work = Callable[[Connection], T]

POOL_SIZE: Final = 8
CONNECT_SECONDS: Final = 10
_INGEST_LANE: Final = 1


def tls_of(settings: PostgresSettings) -> ssl.SSLContext | str | bool:
    """Make what asyncpg wants from libpq's words.

    ``require`` encrypts without knowing the server, as libpq does; ``verify-ca`` and
    ``verify-full`` check its certificate, the latter its name too.
    """
    mode = settings.sslmode
    if mode == "disable":
        return False
    has_files = settings.sslrootcert or settings.sslcert
    if mode in {"allow", "prefer"} and not has_files:
        return mode
    context = ssl.create_default_context(
        cafile=None if settings.sslrootcert is None else str(settings.sslrootcert)
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    if mode not in {"verify-ca", "verify-full"}:
        # Why safe: that is what these modes mean; the doctor reports them as too weak.
        context.verify_mode = ssl.CERT_NONE
    if settings.sslcrl is not None:
        context.load_verify_locations(str(settings.sslcrl))
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    if settings.sslcert is not None:
        password = settings.sslpassword
        context.load_cert_chain(
            str(settings.sslcert),
            None if settings.sslkey is None else str(settings.sslkey),
            None if password is None else password.reveal(),
        )
    return context


class PostgresEngine:
    """All access to one PostgreSQL database of this process."""

    def __init__(
        self, settings: StorageSettings, password_source: Callable[[], str] | None = None
    ) -> None:
        if settings.postgres is None:
            raise ValueError("the dialect postgresql needs its settings")
        self._settings = settings.postgres
        self._schema = settings.schema
        self._password_source = password_source
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
            echo=settings.log_sql,
        )
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="bennu-decoder")
        self._ingest_turn = asyncio.Lock()

    async def _connect(self) -> Any:  # noqa: ANN401 - asyncpg is an optional extra without types
        """Open one connection, with a fresh password where those expire."""
        import asyncpg  # noqa: PLC0415 - an extra; only deployments on PostgreSQL have it

        settings = self._settings
        password = None if settings.password is None else settings.password.reveal()
        if self._password_source is not None:
            password = await asyncio.to_thread(self._password_source)
        options = {"synchronous_commit": "on", "timezone": "UTC", "application_name": "bennu"}
        if self._schema is not None:
            options["search_path"] = '"' + self._schema.replace('"', '""') + '"'
        return await asyncpg.connect(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=password,
            database=settings.database,
            ssl=tls_of(settings),
            timeout=CONNECT_SECONDS,
            server_settings=options,
        )

    async def start(self) -> None:
        """Connect once, and create the schema if one was asked for."""
        schema = self._schema
        with database_failures():
            async with self._engine.begin() as connection:
                if schema is not None:
                    await connection.execute(CreateSchema(schema, if_not_exists=True))

    async def stop(self) -> None:
        """Close every connection."""
        self._preparing.shutdown()
        await self._engine.dispose()

    async def read(self, work: Work[T], *, tiny: bool) -> T:  # noqa: ARG002 - same shape as SQLite
        """Run a read in a transaction of its own."""
        with database_failures():
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    async def write(self, work: Work[T], *, lane: int, prepare: Callable[[], None] | None) -> T:
        """Run a change; ingest keeps to one connection at a time, the rest does not wait for it."""
        if lane == _INGEST_LANE:
            async with self._ingest_turn:
                return await self._write(work, prepare)
        return await self._write(work, prepare)

    async def _write(self, work: Work[T], prepare: Callable[[], None] | None) -> T:
        if prepare is not None:
            await asyncio.get_running_loop().run_in_executor(self._preparing, prepare)
        with database_failures():
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    async def security_epoch(self) -> int:
        """Return the epoch, read on each call: another process may have moved it."""
        return await self.read(read_security_epoch, tiny=True)
