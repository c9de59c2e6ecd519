"""Many rows per statement, in the form each database is fastest with.

SQLite takes the rows as one ``VALUES`` list, PostgreSQL as one array per column; the statement
around them is the same text. Spans themselves go in by executemany and by COPY. Values are always
bound; only placeholders and the constant texts of this file become SQL.

Decision 5. Source: the ingest measurements in docs/performance.md.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from bennu.storage.failures import DatabaseUnavailableError, database_failure

#: SQLite takes 32,766 parameters in one statement.
_MOST_PARAMETERS: Final = 30_000
_UNIQUE_VIOLATION: Final = "23505"
_SQLITE_UNIQUE: Final = frozenset({1555, 2067})

SPAN_COLUMNS: Final = (
    "trace_row",
    "project_id",
    "span_id",
    "parent_id",
    "name",
    "span_kind",
    "start_ns",
    "end_ns",
    "status_code",
    "status_message",
    "prompt_tokens",
    "completion_tokens",
    "cumulative_error_count",
    "cumulative_prompt_tokens",
    "cumulative_completion_tokens",
    "sender",
    "codec",
    "key_id",
    "attributes",
    "events",
)
_INSERT_SPANS: Final = (
    f"INSERT INTO spans ({', '.join(SPAN_COLUMNS)}) "  # noqa: S608 - constant names
    f"VALUES ({', '.join('?' * len(SPAN_COLUMNS))})"
)


class SpanTakenError(Exception):
    """A span of this project and id is there already; the statement changed nothing."""


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
    return _rows_of(connection, statement.text.format(given=given), parameters)


def _run_on_postgres(
    connection: Connection, statement: BulkStatement, rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    arrays = (f"${n}::{kind}[]" for n, kind in enumerate(statement.kinds, 1))
    given = f"SELECT * FROM unnest({', '.join(arrays)})"  # noqa: S608 - placeholders only
    columns = tuple(list(column) for column in zip(*rows, strict=True))
    return _rows_of(connection, statement.text.format(given=given), columns)


def _rows_of(
    connection: Connection, text: str, parameters: tuple[Any, ...]
) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(text, parameters)
    return [tuple(row) for row in result] if result.returns_rows else []


def add_span_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of spans, in the order of ``SPAN_COLUMNS``.

    Raises:
        SpanTakenError: at least one of them exists; the caller must roll back to a savepoint.
    """
    if connection.dialect.name == "sqlite":
        try:
            connection.exec_driver_sql(_INSERT_SPANS, list(rows))
        except IntegrityError as error:
            if getattr(error.orig, "sqlite_errorcode", None) in _SQLITE_UNIQUE:
                raise SpanTakenError from None
            raise
    else:
        _copy_span_rows(connection, rows)


def _copy_span_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY goes past SQLAlchemy, so errors of the driver are put into its form here."""
    import asyncpg  # noqa: PLC0415 - an extra; only deployments on PostgreSQL have it

    adapted: Any = connection.connection.dbapi_connection
    copy: Callable[[Any], Any] = lambda driver: driver.copy_records_to_table(  # noqa: E731
        "spans", records=islice(rows, len(rows)), columns=SPAN_COLUMNS
    )
    try:
        adapted.run_async(copy)
    except asyncpg.UniqueViolationError:
        raise SpanTakenError from None
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError("COPY spans", None, error) from error
    except asyncpg.PostgresError as error:
        refusal = database_failure(error)
        raise refusal or DataError("COPY spans", None, error) from error
    except asyncpg.InterfaceError as error:
        raise DatabaseUnavailableError(f"connection lost: {error}") from error
