"""Reading spans: one page of a project, whatever the filters, at a cost that does not grow.

A page is found in two steps: rows by index first, then what they hold, so that sorting and
skipping never touch payloads.

Source: data-plane contract, section 6.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from bennu.storage.parts import parts_of
from bennu.storage.schema import spans, traces
from bennu.traces.spans.attribute_query import has_attribute
from bennu.traces.spans.cursors import Position
from bennu.traces.spans.driving import (
    Facet,
    Plan,
    hidden_number,
    plan_list,
    range_facet,
    value_facet,
)
from bennu.traces.spans.filters import SpanFilter, SpanOrder
from bennu.traces.spans.span_json import StoredSpan

_COLUMNS: Final = (
    spans.c.id,
    traces.c.trace_id,
    spans.c.span_id,
    spans.c.parent_id,
    spans.c.name,
    spans.c.start_ns,
    spans.c.end_ns,
    spans.c.status_code,
    spans.c.status_message,
    spans.c.attributes,
    spans.c.events,
)


def rows_within_bytes(
    connection: Connection, row_ids: Sequence[int], most_bytes: int
) -> Sequence[int]:
    """Return as many of the first rows as have payloads of so many bytes together; at least one.

    The size of a payload is known without reading it.
    """
    size = func.length(spans.c.attributes) + func.length(spans.c.events)
    sizes: dict[int, int] = {}
    for part in parts_of(row_ids):
        statement = select(spans.c.id, size).where(spans.c.id.in_(part))
        sizes.update((row_id, size_bytes) for row_id, size_bytes in connection.execute(statement))
    total = 0
    for count, row_id in enumerate(row_ids):
        total += sizes.get(row_id, 0)
        if count and total > most_bytes:
            return row_ids[:count]
    return row_ids


def rows_of_spans(
    connection: Connection,
    project_row: int,
    wanted: SpanFilter,
    order: SpanOrder,
    start: Position | None,
    limit: int,
) -> list[int]:
    """Return the rows of up to ``limit`` spans of a project, in order, from ``start`` on."""
    plan = _plan(connection, project_row, wanted, order)
    found: list[tuple[int, int]] = []
    time: ColumnElement[int] = spans.c.start_ns
    row: ColumnElement[int] = spans.c.id
    if not plan.is_walk:
        time, row = hidden_number(time), hidden_number(row)
    for conditions in plan.conditions:
        statement = select(spans.c.start_ns, spans.c.id).where(*conditions)
        if start is not None:
            statement = statement.where(_from_position(time, row, order, start))
        rows = connection.execute(_ordered(statement, order, time, row).limit(limit))
        found.extend((row.start_ns, row.id) for row in rows)
    found.sort(key=lambda row: row if order.by_start else row[1], reverse=not order.ascending)
    return [row_id for _, row_id in found[:limit]]


def spans_in_rows(connection: Connection, row_ids: Sequence[int]) -> list[StoredSpan]:
    """Return the spans of these rows, in the order given; missing ones are left out."""
    found: dict[int, StoredSpan] = {}
    for part in parts_of(row_ids):
        statement = (
            select(*_COLUMNS)
            .join(traces, traces.c.id == spans.c.trace_row)
            .where(spans.c.id.in_(part))
        )
        for row in connection.execute(statement):
            values: tuple[Any, ...] = tuple(row)
            found[row.id] = StoredSpan(*values)
    return [found[row_id] for row_id in row_ids if row_id in found]


def _ordered(
    statement: Select[Any], order: SpanOrder, start: ColumnElement[int], row: ColumnElement[int]
) -> Select[Any]:
    keys = (start, row) if order.by_start else (row,)
    return statement.order_by(*(key.asc() if order.ascending else key.desc() for key in keys))


def _from_position(
    time: ColumnElement[int], row: ColumnElement[int], order: SpanOrder, start: Position
) -> ColumnElement[bool]:
    by_row = row >= start.row_id if order.ascending else row <= start.row_id
    if not order.by_start:
        return by_row
    # The first condition alone bounds the index; the second settles spans of equal start.
    if order.ascending:
        return and_(time >= start.value, or_(time > start.value, by_row))
    return and_(time <= start.value, or_(time < start.value, by_row))


def _plan(connection: Connection, project_row: int, wanted: SpanFilter, order: SpanOrder) -> Plan:
    facets = _facets(wanted, order)
    dialect = connection.dialect.name
    rest = [has_attribute(match, dialect) for match in wanted.attributes]
    if wanted.condition is not None:
        rest.append(wanted.condition(dialect))
    in_project = spans.c.project_id == project_row
    narrow = _narrow(connection, project_row, wanted)
    if narrow:
        return Plan(((*narrow, *(facet.hidden for facet in facets), *rest),), is_walk=False)
    if wanted.parent_id:
        rest.append(spans.c.parent_id == wanted.parent_id)
    return plan_list(connection, spans, in_project, facets, rest)


def _narrow(
    connection: Connection, project_row: int, wanted: SpanFilter
) -> list[ColumnElement[bool]]:
    """Return conditions that leave few spans by what they name; none where they name nothing.

    Traces are resolved first, and the project, which a trace implies, is not asked for again: no
    other index is as good, and none is left to choose.
    """
    conditions: list[ColumnElement[bool]] = []
    if wanted.trace_ids is not None:
        known = select(traces.c.id).where(
            traces.c.project_id == project_row, traces.c.trace_id.in_(wanted.trace_ids)
        )
        conditions.append(spans.c.trace_row.in_(connection.execute(known).scalars().all()))
    elif wanted.span_ids is not None:
        conditions.append(spans.c.project_id == project_row)
    elif wanted.parent_id:
        # Children are in the trace of their parent. Where it has not come yet, or never will,
        # nothing but a walk finds them.
        parent = select(spans.c.trace_row).where(
            spans.c.project_id == project_row, spans.c.span_id == wanted.parent_id
        )
        trace_rows = connection.execute(parent).scalars().all()
        if not trace_rows:
            return []
        conditions.append(spans.c.trace_row.in_(trace_rows))
    else:
        return []
    if wanted.span_ids is not None:
        conditions.append(spans.c.span_id.in_(wanted.span_ids))
    if wanted.parent_id:
        conditions.append(spans.c.parent_id == wanted.parent_id)
    return conditions


def _facets(wanted: SpanFilter, order: SpanOrder) -> list[Facet]:
    by_row = not order.by_start
    texts: tuple[tuple[ColumnElement[str], tuple[str, ...] | None], ...] = (
        (spans.c.name, wanted.names),
        (spans.c.span_kind, wanted.span_kinds),
        (spans.c.status_code, wanted.status_codes),
    )
    facets = [
        value_facet(column, values, gives_order=by_row)
        for column, values in texts
        if values is not None
    ]
    if wanted.parent_id == b"":
        is_root = spans.c.parent_id.is_(None)
        facets.append(Facet((is_root,), func.coalesce(spans.c.parent_id, b"") == b"", by_row))
    if wanted.from_ns is not None or wanted.before_ns is not None:
        before = None if wanted.before_ns is None else wanted.before_ns - 1
        facets.append(
            range_facet(spans.c.start_ns, wanted.from_ns, before, gives_order=order.by_start)
        )
    return facets
