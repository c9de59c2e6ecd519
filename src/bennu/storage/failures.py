"""Which errors of a database mean "not now" rather than a defect.

Source: SQLite result codes (BUSY, LOCKED, FULL, READONLY, IOERR, CANTOPEN), PostgreSQL error
classes 08, 53, 57, 58.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from bennu.kernel.errors import UnavailableError

DATABASE_AWAY: Final = "The database is not available right now"
_SQLITE_NOT_NOW: Final = frozenset({5, 6, 8, 10, 13, 14})
_POSTGRES_NOT_NOW: Final = ("08", "53", "57", "58", "25006", "40")


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn "locked", "full", "read-only" and "connection lost" into UnavailableError.

    Raises:
        UnavailableError: the work was not done and may be tried again later.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error, OSError, TimeoutError) as error:
        if is_not_now(error):
            raise UnavailableError(
                DATABASE_AWAY, detail=f"database: {reason_of(error)}", retry_after_seconds=2
            ) from error
        raise


def is_not_now(error: BaseException) -> bool:
    """Whether an error says that the database cannot work at the moment."""
    if isinstance(error, OSError | TimeoutError):
        return True
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", None)
        return isinstance(code, int) and code & 0xFF in _SQLITE_NOT_NOW
    state = getattr(original, "sqlstate", None)
    if isinstance(state, str):
        return state.startswith(_POSTGRES_NOT_NOW)
    return isinstance(error, InterfaceError | OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def reason_of(error: BaseException) -> str:
    """Say what happened without statement and parameters, which may hold data."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(original).__name__}: {str(original).splitlines()[0] if str(original) else ''}"
