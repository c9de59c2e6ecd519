"""Reading sessions and their traces.

Source: data-plane contract, section 8.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from bennu.storage.parts import parts_of
from bennu.storage.schema import trace_sessions, traces
from bennu.traces.expressions.sql import sql_of
from bennu.traces.expressions.tree import Condition

_COLUMNS: Final = (
    trace_sessions.c.id,
    trace_sessions.c.session_id,
    trace_sessions.c.project_id,
    trace_sessions.c.start_ns,
    trace_sessions.c.end_ns,
)
_TRACE_COLUMNS: Final = (
    traces.c.id,
    traces.c.trace_id,
    traces.c.session_id,
    traces.c.start_ns,
    traces.c.end_ns,
    traces.c.prompt_tokens,
    traces.c.completion_tokens,
)


class StoredSession(NamedTuple):
    """One session; the fields are columns of its row."""

    row_id: int
    session_id: str
    project_row: int
    start_ns: int
    end_ns: int


class TraceOfSession(NamedTuple):
    """A trace as it stands in a session."""

    row_id: int
    trace_id: bytes
    session_row: int
    start_ns: int
    end_ns: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class SessionSlice:
    """Some sessions of a list in the order of arrival.

    Args:
        start_row: from this row on, or None for the first.
        limit: at most so many.
        ascending: the oldest first.
        condition: a filter that a client wrote, or None.
    """

    start_row: int | None
    limit: int
    ascending: bool
    condition: Condition | None = None


def page_of_sessions(
    connection: Connection, project_row: int, wanted: SessionSlice
) -> list[StoredSession]:
    """Return some sessions of a project."""
    row, start = trace_sessions.c.id, wanted.start_row
    statement = select(*_COLUMNS).where(trace_sessions.c.project_id == project_row)
    if start is not None:
        statement = statement.where(row >= start if wanted.ascending else row <= start)
    if wanted.condition is not None:
        statement = statement.where(sql_of(wanted.condition, connection.dialect.name))
    order = row.asc() if wanted.ascending else row.desc()
    statement = statement.order_by(order).limit(wanted.limit)
    return [StoredSession(*found) for found in connection.execute(statement)]


def find_sessions(
    connection: Connection,
    *,
    row_ids: Collection[int] = (),
    session_ids: Collection[str] = (),
    visible_project_rows: Collection[int] | None = None,
) -> list[StoredSession]:
    """Find sessions by row, or by the id that their sender gave, which is unique per project."""
    found: list[StoredSession] = []
    columns: tuple[tuple[ColumnElement[Any], Collection[Any]], ...] = (
        (trace_sessions.c.id, row_ids),
        (trace_sessions.c.session_id, session_ids),
    )
    for column, given in columns:
        values = sorted(given)
        for part in parts_of(values):
            rows = connection.execute(select(*_COLUMNS).where(column.in_(part)))
            found.extend(StoredSession(*row) for row in rows)
    if visible_project_rows is None:
        return found
    return [session for session in found if session.project_row in visible_project_rows]


def traces_of_sessions(
    connection: Connection, session_rows: Sequence[int]
) -> dict[int, list[TraceOfSession]]:
    """Return the traces of sessions, those of each session by start."""
    found: dict[int, list[TraceOfSession]] = {row: [] for row in session_rows}
    for part in parts_of(session_rows):
        # Whatever a row says: what lies in another project is not shown with a session.
        statement = (
            select(*_TRACE_COLUMNS)
            .join(trace_sessions, trace_sessions.c.id == traces.c.session_id)
            .where(
                traces.c.session_id.in_(part),
                traces.c.project_id == trace_sessions.c.project_id,
            )
        )
        for row in connection.execute(statement):
            trace = TraceOfSession(*row)
            found[trace.session_row].append(trace)
    for of_session in found.values():
        of_session.sort(key=lambda trace: (trace.start_ns, trace.row_id))
    return found
