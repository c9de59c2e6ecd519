"""Deleting one span: sums of its ancestors and of its trace follow; children stay.

An empty trace goes with its last span, an empty session with its last trace.

Source: data-plane contract, sections 4 and 6 (DELETE /v1/spans).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from bennu.storage.bulk import run_with_rows
from bennu.storage.schema import spans, traces
from bennu.traces.spans.session_ranges import lock_sessions, tidy_sessions
from bennu.traces.spans.statements import ANCESTORS, ANCESTORS_CHANGED


@dataclass(frozen=True, slots=True)
class SpanPlace:
    """Where a span lies."""

    row_id: int
    project_row: int
    trace_row: int
    span_id: bytes


def places_of_span(
    connection: Connection,
    *,
    row_id: int | None = None,
    span_id: bytes | None = None,
    visible_project_rows: Collection[int] | None = None,
) -> list[SpanPlace]:
    """Find spans by row or by the id that their sender gave, which is unique only per project."""
    statement = select(spans.c.id, spans.c.project_id, spans.c.trace_row, spans.c.span_id)
    if row_id is not None:
        statement = statement.where(spans.c.id == row_id)
    if span_id is not None:
        statement = statement.where(spans.c.span_id == span_id)
    found = [SpanPlace(*row) for row in connection.execute(statement)]
    if visible_project_rows is None:
        return found
    return [place for place in found if place.project_row in visible_project_rows]


def remove_span(connection: Connection, place: SpanPlace) -> bool:
    """Delete a span and take it out of all sums; an empty trace goes with it.

    Returns:
        Whether it was still there.
    """
    # Ingest changes these rows too, sessions before traces: whoever comes second sees what the
    # other did, and neither waits for the other.
    of_trace = select(traces.c.span_count, traces.c.session_id).where(
        traces.c.id == place.trace_row
    )
    seen = connection.execute(of_trace).one_or_none()
    lock_sessions(connection, [] if seen is None or seen[1] is None else [seen[1]])
    trace = connection.execute(of_trace.with_for_update()).one_or_none()
    span = connection.execute(select(spans).where(spans.c.id == place.row_id)).one_or_none()
    if trace is None or span is None:
        return False
    sessions = [] if trace.session_id is None else [trace.session_id]
    _take_from_ancestors(connection, place, span)
    connection.execute(delete(spans).where(spans.c.id == place.row_id))
    if trace.span_count <= 1:
        connection.execute(delete(traces).where(traces.c.id == place.trace_row))
    else:
        _take_from_trace(connection, place, span)
    tidy_sessions(connection, sessions)
    return True


def _take_from_ancestors(connection: Connection, place: SpanPlace, span: Row[Any]) -> None:
    """Subtract the whole branch, which hangs in the air now; it is added when a parent returns."""
    sums = (
        -span.cumulative_error_count,
        -span.cumulative_prompt_tokens,
        -span.cumulative_completion_tokens,
    )
    if span.parent_id is None or not any(sums):
        return
    keys = [(place.trace_row, place.project_row, span.parent_id)]
    above = run_with_rows(connection, ANCESTORS, keys)
    changes = [(row[0], *sums) for row in above if row[0] != place.row_id]
    if changes:
        run_with_rows(connection, ANCESTORS_CHANGED, sorted(changes))


def _take_from_trace(connection: Connection, place: SpanPlace, span: Row[Any]) -> None:
    of_trace = spans.c.trace_row == place.trace_row
    first, last = connection.execute(
        select(func.min(spans.c.start_ns), func.max(spans.c.end_ns)).where(of_trace)
    ).one()
    connection.execute(
        update(traces)
        .where(traces.c.id == place.trace_row)
        .values(
            start_ns=first,
            end_ns=last,
            span_count=traces.c.span_count - 1,
            error_count=traces.c.error_count - (1 if span.status_code == "ERROR" else 0),
            prompt_tokens=traces.c.prompt_tokens - (span.prompt_tokens or 0),
            completion_tokens=traces.c.completion_tokens - (span.completion_tokens or 0),
        )
    )
