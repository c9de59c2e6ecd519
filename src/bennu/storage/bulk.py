"""Many rows per statement, in the form each database is fastest with.

SQLite takes the rows as one ``VALUES`` list, straight through its driver, since what SQLAlchemy
adds to a statement costs more than the statement; PostgreSQL takes one array per column. The
statement around them is the same text. Values are always bound; only placeholders and constant
texts become SQL.

Decision 4. Source: the ingest measurements in docs/performance.md.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from bennu.storage.sqlite_connection import driver_of

#: SQLite takes 32,766 parameters in one statement.
_MOST_PARAMETERS: Final = 30_000


class BulkStatement(NamedTuple):
    """A statement over given rows.

    Args:
        text: SQL that reads the rows from the table ``given``, declared in its WITH clause as
            ``given(a, b) AS ({given})``.
        kinds: PostgreSQL type of each column of ``given``.
    """

    text: str
    kinds: tuple[str, ...]


def run_with_rows(
    connection: Connection, statement: BulkStatement, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Run a statement over the rows, in as few parts as the database allows.

    Returns:
        What the statement returns, in no particular order.
    """
    run = _run_on_sqlite if connection.dialect.name == "sqlite" else _run_on_postgres
    found: list[tuple[Any, ...]] = []
    size = _MOST_PARAMETERS // len(statement.kinds)
    for start in range(0, len(rows), size):
        found.extend(run(connection, statement, rows[start : start + size]))
    return found


def _run_on_sqlite(
    connection: Connection, statement: BulkStatement, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    one = f"({','.join('?' * len(statement.kinds))})"
    given = "VALUES " + ",".join([one] * len(rows))
    parameters = tuple(value for row in rows for value in row)
    with sqlite_errors_as_sqlalchemy():
        cursor = driver_of(connection).execute(statement.text.format(given=given), parameters)
        return cursor.fetchall()


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what is done inside when it raises, and go on with the transaction after that."""
    if connection.dialect.name != "sqlite":
        with connection.begin_nested():
            yield
        return
    driver = driver_of(connection)
    driver.execute("SAVEPOINT attempt")
    try:
        yield
    except BaseException:
        # After some failures of the file the whole transaction is gone, and with it this name.
        with suppress(sqlite3.Error):
            driver.execute("ROLLBACK TO attempt")
            driver.execute("RELEASE attempt")
        raise
    driver.execute("RELEASE attempt")


@contextmanager
def sqlite_errors_as_sqlalchemy() -> Iterator[None]:
    """Give errors of the driver the form in which SQLAlchemy would have raised them.

    Raises:
        IntegrityError: a constraint was violated.
        DBAPIError: anything else.
    """
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise IntegrityError("", None, error) from error
    except sqlite3.Error as error:
        raise DBAPIError("", None, error) from error


def _run_on_postgres(
    connection: Connection, statement: BulkStatement, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    arrays = (f"${n}::{kind}[]" for n, kind in enumerate(statement.kinds, 1))
    given = f"SELECT * FROM unnest({', '.join(arrays)})"  # noqa: S608 - placeholders only
    columns = tuple(list(column) for column in zip(*rows, strict=True))
    result = connection.exec_driver_sql(statement.text.format(given=given), columns)
    return [tuple(row) for row in result] if result.returns_rows else []
