"""A read that a client shaped ends in time, so that it does not keep others from reading.

A filter may make SQLite look at every row of a project, many times over. SQLite itself never
gives up, and few threads read: some such requests would take all of them. PostgreSQL has its own
limit of a statement.

Source: SQLite, sqlite3_progress_handler.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from bennu.kernel.clock import Clock
from bennu.kernel.errors import UnavailableError
from bennu.storage.sqlite_connection import driver_of

LIMIT_SECONDS: Final = 30.0
#: Of SQLite's machine between two looks at the clock: some milliseconds, unless rows are huge.
_OPERATIONS: Final = 20_000


class ReadTooLongError(UnavailableError):
    """A read took longer than it may; the connection is as good as before."""


@contextmanager
def ending_in_time(connection: Connection, clock: Clock) -> Iterator[None]:
    """Stop what is read inside after 30 seconds, on SQLite.

    Args:
        connection: to read with, and not to write: what was written would stay half done.
        clock: that tells how long it takes.

    Raises:
        ReadTooLongError: it took longer.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = driver_of(connection)
    end = clock.monotonic_seconds() + LIMIT_SECONDS
    is_over = False

    def look() -> bool:
        nonlocal is_over
        is_over = is_over or clock.monotonic_seconds() >= end
        return is_over

    driver.set_progress_handler(look, _OPERATIONS)
    try:
        yield
    except OperationalError as error:
        if not is_over:
            raise
        raise ReadTooLongError(
            f"This reads for longer than {LIMIT_SECONDS:g} seconds: ask for a shorter time or with "
            "a simpler filter",
            retry_after_seconds=LIMIT_SECONDS,
        ) from error
    finally:
        driver.set_progress_handler(None, 0)
