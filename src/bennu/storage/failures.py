"""Which errors of a database mean "not now" (503) and which are mistakes in our own statements.

What the database says goes to the log only: it can name paths and hosts.

Source: SQLite, Result and Error Codes; PostgreSQL, Appendix A, Error Codes.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bennu.kernel.errors import UnavailableError

_AWAY: Final = "The database is not available"
_RETRY_AFTER_SECONDS: Final = 5.0

_SQLITE_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_AWAY: Final = _SQLITE_BUSY | {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOTADB,
}

#: Classes and single codes: connection exceptions, invalid authorization, invalid catalog name,
#: transaction rollback (deadlock), insufficient resources, operator intervention, system error.
_POSTGRES_AWAY_CLASSES: Final = frozenset({"08", "28", "3D", "40", "53", "57", "58"})
_POSTGRES_AWAY_CODES: Final = frozenset({"25006", "55P03"})
_POSTGRES_FOREIGN_KEY_VIOLATION: Final = "23503"


class DatabaseUnavailableError(UnavailableError):
    """The database is away, locked, full or read-only.

    Args:
        detail: what the database said, for the log.
        busy: whether only somebody else holds the lock, so that the connection is still good.
    """

    def __init__(self, detail: str, *, busy: bool = False) -> None:
        super().__init__(_AWAY, detail=detail, retry_after_seconds=_RETRY_AFTER_SECONDS)
        self.busy = busy


def _sqlite_failure(error: sqlite3.Error) -> DatabaseUnavailableError | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # The sqlite3 module itself speaks, for example of a connection that is closed.
        return None
    primary = code & 0xFF
    if primary not in _SQLITE_AWAY:
        return None
    return DatabaseUnavailableError(
        f"SQLite: {error} ({error.sqlite_errorname})", busy=primary in _SQLITE_BUSY
    )


def _postgres_failure(error: BaseException) -> DatabaseUnavailableError | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not isinstance(state, str):
        return None
    if state[:2] in _POSTGRES_AWAY_CLASSES or state in _POSTGRES_AWAY_CODES:
        return DatabaseUnavailableError(f"PostgreSQL: {error} ({state})")
    return None


def database_failure(error: BaseException) -> DatabaseUnavailableError | None:
    """Return the refusal that an error of the database stands for, or None if it is none."""
    if isinstance(error, DBAPIError):
        if error.orig is not None and (found := database_failure(error.orig)) is not None:
            return found
        lost = error.connection_invalidated or isinstance(error, InterfaceError)
        return DatabaseUnavailableError(f"connection lost: {error.orig}") if lost else None
    if isinstance(error, sqlite3.Error):
        return _sqlite_failure(error)
    if isinstance(error, PoolTimeoutError):
        return DatabaseUnavailableError("no free connection in the pool")
    return _postgres_failure(error)


def is_row_gone(error: BaseException) -> bool:
    """Whether a row that others were to belong to is not there, such as a deleted project."""
    if isinstance(error, DBAPIError):
        return error.orig is not None and is_row_gone(error.orig)
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state == _POSTGRES_FOREIGN_KEY_VIOLATION


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn the errors that mean "not now" into UnavailableError; all others pass through.

    Raises:
        UnavailableError: the database is away, locked, full or read-only.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error, PoolTimeoutError) as error:
        refusal = database_failure(error)
        if refusal is None:
            raise
        raise refusal from error


@contextmanager
def connection_failures() -> Iterator[None]:
    """Do the same where a connection over the network is being made.

    Raises:
        UnavailableError: additionally for every refusal of the network, of TLS and of time.
    """
    try:
        with database_failures():
            yield
    except (OSError, OperationalError) as error:
        raise DatabaseUnavailableError(f"cannot connect: {error!r}") from error
