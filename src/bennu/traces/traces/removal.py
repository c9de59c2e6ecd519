"""Deleting traces with everything in them; sessions follow.

Source: data-plane contract, sections 4 and 7.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select

from bennu.storage.parts import parts_of
from bennu.storage.schema import traces
from bennu.traces.spans.session_ranges import lock_with_sessions, tidy_sessions


class Removed(NamedTuple):
    """How much was deleted."""

    traces: int = 0
    spans: int = 0
    sessions: int = 0


def remove_traces(connection: Connection, trace_rows: Collection[int]) -> Removed:
    """Delete traces by row; sessions that hold none any more go too.

    Returns:
        What was deleted; rows that were gone already do not count.
    """
    total = Removed()
    in_order = sorted(trace_rows)
    for some in parts_of(in_order):
        part = _remove_part(connection, some)
        total = Removed(*(one + other for one, other in zip(total, part, strict=True)))
    return total


def _remove_part(connection: Connection, trace_rows: Sequence[int]) -> Removed:
    given = traces.c.id.in_(trace_rows)
    session_rows = lock_with_sessions(connection, trace_rows)
    span_count = connection.execute(
        select(func.coalesce(func.sum(traces.c.span_count), 0)).where(given)
    ).scalar_one()
    gone = connection.execute(delete(traces).where(given).returning(traces.c.id)).all()
    return Removed(len(gone), int(span_count), tidy_sessions(connection, session_rows))


def oldest_traces_between(
    connection: Connection, project_row: int, from_ns: int, before_ns: int, limit: int
) -> list[int]:
    """Return rows of traces of a project that started within a time, the oldest first."""
    statement = (
        select(traces.c.id)
        .where(
            traces.c.project_id == project_row,
            traces.c.start_ns >= from_ns,
            traces.c.start_ns < before_ns,
        )
        .order_by(traces.c.start_ns, traces.c.id)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())
