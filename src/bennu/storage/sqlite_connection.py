"""Opening a SQLite file: its mode, its layout and the pragmas of every connection."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, event
from sqlalchemy import Engine as SqlEngine
from sqlalchemy.pool import NullPool

from bennu.storage.failures import DatabaseUnavailableError

PAGE_SIZE_BYTES: Final = 8192
_CHECKPOINT_PAGES: Final = 8000
_JOURNAL_LIMIT_BYTES: Final = _CHECKPOINT_PAGES * PAGE_SIZE_BYTES
_WRITER_CACHE_KIB: Final = 8192
_READER_CACHE_KIB: Final = 2048
_OWNER_ONLY_FILE: Final = 0o600
_OWNER_ONLY_DIRECTORY: Final = 0o700


def make_private_file(path: Path) -> None:
    """Make the database file and its directory readable by nobody else.

    SQLite gives ``-wal`` and ``-shm`` the mode of the database, so this one file decides. A
    directory that exists already keeps its mode: it may hold other things.

    Raises:
        UnavailableError: the file cannot be made there.
    """
    try:
        path.parent.mkdir(mode=_OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY_FILE))
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            _take_others_access_away(path.with_name(name))
    except OSError as error:
        raise DatabaseUnavailableError(f"cannot open {path}: {error.strerror}") from error


def _take_others_access_away(path: Path) -> None:
    if path.exists() and path.stat().st_mode & 0o077:
        path.chmod(_OWNER_ONLY_FILE)


def _connect(target: str, wait_seconds: float) -> sqlite3.Connection:
    # Autocommit in the driver: transactions begin and end only where SQLAlchemy says so.
    connection = sqlite3.connect(target, timeout=wait_seconds, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _open_writer(target: str, wait_seconds: float) -> sqlite3.Connection:
    connection = _connect(target, wait_seconds)
    # Both must come before the first table; on a database that has one they change nothing.
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT_BYTES}")
    return connection


def _open_reader(target: str, wait_seconds: float) -> sqlite3.Connection:
    connection = _connect(target, wait_seconds)
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    connection.execute("PRAGMA query_only = ON")
    return connection


def writer_engine(target: str, wait_seconds: float) -> SqlEngine:
    """Return an engine whose transactions take the write lock at once (``BEGIN IMMEDIATE``).

    Taking it later could fail in the middle of the work, when somebody else wrote meanwhile.

    Args:
        target: path of the file, or ``:memory:``.
        wait_seconds: how long another process may hold the lock before this one gives up.
    """
    engine = create_engine(
        "sqlite://",
        creator=lambda: _open_writer(target, wait_seconds),
        poolclass=NullPool,
        # Why safe: values of a statement can be secrets and never reach a log or an error text.
        hide_parameters=True,
    )
    _begin_with(engine, "BEGIN IMMEDIATE")
    return engine


def reader_engine(
    target: str, wait_seconds: float, *, begins_transactions: bool = True
) -> SqlEngine:
    """Return an engine whose connections cannot change anything.

    Args:
        target: path of the file, or ``:memory:``.
        wait_seconds: how long a reader waits for a lock.
        begins_transactions: False when the caller begins and ends them with the driver itself.
    """
    engine = create_engine(
        "sqlite://",
        creator=lambda: _open_reader(target, wait_seconds),
        poolclass=NullPool,
        hide_parameters=True,
    )
    if begins_transactions:
        _begin_with(engine, "BEGIN")
    return engine


def _begin_with(engine: SqlEngine, statement: str) -> None:
    # Straight to the driver: through SQLAlchemy this one statement costs more than a tiny read.
    def begin(connection: Connection) -> None:
        driver_of(connection).execute(statement)

    event.listen(engine, "begin", begin)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection below a SQLAlchemy connection."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("not a connection of SQLite")
    return driver
