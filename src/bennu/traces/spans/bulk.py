"""Inserting the rows of spans: by executemany on SQLite, by COPY on PostgreSQL.

Decision 4. Source: the ingest measurements in docs/performance.md.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from bennu.storage.bulk import sqlite_errors_as_sqlalchemy
from bennu.storage.failures import DatabaseUnavailableError, database_failure
from bennu.storage.sqlite_connection import driver_of

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


def add_span_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of spans, in the order of ``SPAN_COLUMNS``.

    Raises:
        SpanTakenError: at least one of them exists; the caller must roll back to a savepoint.
    """
    if connection.dialect.name == "sqlite":
        try:
            with sqlite_errors_as_sqlalchemy():
                driver_of(connection).executemany(_INSERT_SPANS, rows)
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
