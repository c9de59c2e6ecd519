"""Reading traces: one page of a project, whatever the filters, at a cost that does not grow.

Source: data-plane contract, section 7.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, literal_column, or_, select

from bennu.kernel.ids import row_id_of
from bennu.storage.parts import parts_of
from bennu.storage.schema import spans, trace_sessions, traces
from bennu.traces.expressions.sql import sql_of
from bennu.traces.spans.cursors import Position
from bennu.traces.spans.driving import Facet, Plan, hidden_number, plan_list, range_facet
from bennu.traces.traces.model import (
    SESSION_KIND,
    SpanOfTrace,
    StoredTrace,
    TraceFilter,
    TraceOrder,
    TracePlace,
)

_COLUMNS: Final = (
    traces.c.id,
    traces.c.trace_id,
    traces.c.project_id,
    traces.c.session_id,
    traces.c.start_ns,
    traces.c.end_ns,
    traces.c.prompt_tokens,
    traces.c.completion_tokens,
)
_SPAN_COLUMNS: Final = (
    spans.c.id,
    spans.c.trace_row,
    spans.c.span_id,
    spans.c.parent_id,
    spans.c.name,
    spans.c.span_kind,
    spans.c.status_code,
    spans.c.start_ns,
    spans.c.end_ns,
)
_PLACE: Final = (traces.c.id, traces.c.trace_id, traces.c.project_id, traces.c.session_id)


def page_of_traces(
    connection: Connection,
    project_row: int,
    wanted: TraceFilter,
    order: TraceOrder,
    start: Position | None,
    limit: int,
) -> list[StoredTrace]:
    """Return up to ``limit`` traces of a project, in order, from ``start`` on (inclusive)."""
    plan = _plan(connection, project_row, wanted, order)
    (conditions,) = plan.conditions
    value: ColumnElement[int] = traces.c.latency_ns if order.by_latency else traces.c.start_ns
    row: ColumnElement[int] = traces.c.id
    if not plan.is_walk:
        value, row = hidden_number(value), hidden_number(row)
    # Rows first, by the index alone; then what they hold.
    statement = select(traces.c.id).where(*conditions)
    if start is not None:
        statement = statement.where(_from_position(value, row, order, start))
    keys = (key.asc() if order.ascending else key.desc() for key in (value, row))
    rows = connection.execute(statement.order_by(*keys).limit(limit)).scalars().all()
    return _traces_in_rows(connection, rows)


def _traces_in_rows(connection: Connection, trace_rows: Sequence[int]) -> list[StoredTrace]:
    found: dict[int, StoredTrace] = {}
    for part in parts_of(trace_rows):
        for row in connection.execute(select(*_COLUMNS).where(traces.c.id.in_(part))):
            trace = StoredTrace(*row)
            found[trace.row_id] = trace
    return [found[row] for row in trace_rows]


def _plan(connection: Connection, project_row: int, wanted: TraceFilter, order: TraceOrder) -> Plan:
    facets = _facets(wanted, order)
    # No index for the absence of errors, which is the rule.
    rest = [hidden_number(traces.c.error_count) == 0] if wanted.has_error is False else []
    if wanted.condition is not None:
        rest.append(sql_of(wanted.condition, connection.dialect.name))
    if wanted.session_rows is not None:
        # A session is read whole: its traces are few, and no other index is as good.
        inside = traces.c.session_id.in_(wanted.session_rows)
        others = (facet.hidden for facet in facets)
        return Plan(((inside, *others, *rest),), is_walk=False)
    base = traces.c.project_id == project_row
    return plan_list(connection, traces, base, facets, rest)


def _facets(wanted: TraceFilter, order: TraceOrder) -> list[Facet]:
    by_start = not order.by_latency
    facets: list[Facet] = []
    if wanted.min_latency_ns is not None or wanted.max_latency_ns is not None:
        lowest, highest = wanted.min_latency_ns, wanted.max_latency_ns
        facets.append(
            range_facet(traces.c.latency_ns, lowest, highest, gives_order=order.by_latency)
        )
    if wanted.has_error:
        hidden = hidden_number(traces.c.error_count) > 0
        # Written out: a bound number would hide from the planner that the partial index covers it.
        has_error = traces.c.error_count > literal_column("0")
        facets.append(Facet((has_error,), hidden, gives_order=by_start))
    if wanted.from_ns is not None or wanted.before_ns is not None:
        before = None if wanted.before_ns is None else wanted.before_ns - 1
        facets.append(range_facet(traces.c.start_ns, wanted.from_ns, before, gives_order=by_start))
    return facets


def _from_position(
    value: ColumnElement[int], row: ColumnElement[int], order: TraceOrder, start: Position
) -> ColumnElement[bool]:
    # The first condition alone bounds the index; the second settles traces of equal value.
    if order.ascending:
        return and_(value >= start.value, or_(value > start.value, row >= start.row_id))
    return and_(value <= start.value, or_(value < start.value, row <= start.row_id))


def spans_of_traces(
    connection: Connection, trace_rows: Sequence[int]
) -> dict[int, list[SpanOfTrace]]:
    """Return the spans of traces, those of each trace by start."""
    found: dict[int, list[SpanOfTrace]] = {row: [] for row in trace_rows}
    for part in parts_of(trace_rows):
        statement = select(*_SPAN_COLUMNS).where(spans.c.trace_row.in_(part))
        for row in connection.execute(statement):
            span = SpanOfTrace(*row)
            found[span.trace_row].append(span)
    for of_trace in found.values():
        of_trace.sort(key=lambda span: (span.start_ns, span.row_id))
    return found


def places_of_traces(
    connection: Connection,
    *,
    row_ids: Collection[int] = (),
    trace_ids: Collection[bytes] = (),
    visible_project_rows: Collection[int] | None = None,
) -> list[TracePlace]:
    """Find traces by row, or by the id that their sender gave, which is unique only per project."""
    found: list[TracePlace] = []
    columns: tuple[tuple[ColumnElement[Any], Collection[Any]], ...] = (
        (traces.c.id, row_ids),
        (traces.c.trace_id, trace_ids),
    )
    for column, given in columns:
        values = sorted(given)
        for part in parts_of(values):
            rows = connection.execute(select(*_PLACE).where(column.in_(part)))
            found.extend(TracePlace(*row) for row in rows)
    if visible_project_rows is None:
        return found
    return [place for place in found if place.project_row in visible_project_rows]


def rows_of_sessions(
    connection: Connection, project_row: int, identifiers: Collection[str]
) -> list[int]:
    """Return the rows of a project's sessions that are named by public id, or else by session id.

    A public id that names a session of the project is not looked up as a session id too: senders
    choose those.
    """
    rows = {text: row_id_of(text, SESSION_KIND) for text in identifiers}

    def found(named: ColumnElement[bool]) -> set[int]:
        in_project = trace_sessions.c.project_id == project_row
        statement = select(trace_sessions.c.id).where(in_project, named)
        return set(connection.execute(statement).scalars())

    by_row = found(trace_sessions.c.id.in_([row for row in rows.values() if row is not None]))
    ids = [text for text, row in rows.items() if row not in by_row and "\x00" not in text]
    return sorted(by_row | found(trace_sessions.c.session_id.in_(ids)))
