"""Reading spans: one page of a project, whatever the filters, at a cost that does not grow.

A page is found in two steps: rows by index first, then what they hold, so that sorting and
skipping never touch payloads.

Source: data-plane contract, section 6.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, or_, select

from bennu.storage.schema import spans, traces
from bennu.traces.spans.attribute_query import has_attribute
from bennu.traces.spans.filters import SpanFilter, SpanOrder, SpanPosition
from bennu.traces.spans.span_json import StoredSpan

_LOOKUP_SIZE: Final = 1_000
_MOST_ALTERNATIVES: Final = 20
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


def page_of_spans(
    connection: Connection,
    project_row: int,
    wanted: SpanFilter,
    order: SpanOrder,
    start: SpanPosition | None,
    limit: int,
) -> list[StoredSpan]:
    """Return up to ``limit`` spans of a project, in order, from ``start`` on (inclusive)."""
    conditions = _conditions(connection, project_row, wanted)
    if start is not None:
        conditions.append(_from_position(order, start))
    found: list[tuple[int, int]] = []
    for alternative in _alternatives(wanted):
        statement = select(spans.c.start_ns, spans.c.id).where(*conditions, *alternative)
        if wanted.trace_ids is None:
            statement = _ordered(statement, order, spans.c.start_ns, spans.c.id)
        else:
            # Sums have no index: few rows are sorted, rather than all walked in order.
            statement = _ordered(statement, order, spans.c.start_ns + 0, spans.c.id + 0)
        rows = connection.execute(statement.limit(limit))
        found.extend((row.start_ns, row.id) for row in rows)
    found.sort(key=lambda row: row if order.by_start else row[1], reverse=not order.ascending)
    return spans_in_rows(connection, [row_id for _, row_id in found[:limit]])


def spans_in_rows(connection: Connection, row_ids: Sequence[int]) -> list[StoredSpan]:
    """Return the spans of these rows, in the order given; missing ones are left out."""
    found: dict[int, StoredSpan] = {}
    for begin in range(0, len(row_ids), _LOOKUP_SIZE):
        part = row_ids[begin : begin + _LOOKUP_SIZE]
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


def _from_position(order: SpanOrder, start: SpanPosition) -> ColumnElement[bool]:
    row, time = spans.c.id, spans.c.start_ns
    by_row = row >= start.row_id if order.ascending else row <= start.row_id
    if not order.by_start:
        return by_row
    # The first condition alone bounds the index; the second settles spans of equal start.
    if order.ascending:
        return and_(time >= start.start_ns, or_(time > start.start_ns, by_row))
    return and_(time <= start.start_ns, or_(time < start.start_ns, by_row))


def _alternatives(wanted: SpanFilter) -> list[list[ColumnElement[bool]]]:
    """Split the first list of several values into one query per value.

    An index gives the order only within one value; for several the database would sort all that
    match. Each query stops after a page, and the pages are merged.
    """
    lists: tuple[tuple[Column[str], tuple[str, ...] | None], ...] = (
        (spans.c.name, wanted.names),
        (spans.c.span_kind, wanted.span_kinds),
        (spans.c.status_code, wanted.status_codes),
    )
    fixed: list[ColumnElement[bool]] = []
    split: list[ColumnElement[bool]] = []
    for column, given in lists:
        values = () if given is None else tuple(dict.fromkeys(given))
        if not split and 1 < len(values) <= _MOST_ALTERNATIVES and wanted.trace_ids is None:
            split = [column == value for value in values]
        elif given is not None:
            fixed.append(column == values[0] if len(values) == 1 else column.in_(values))
    return [[*fixed, one] for one in split] or [fixed]


def _conditions(
    connection: Connection, project_row: int, wanted: SpanFilter
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.trace_ids is None:
        conditions.append(spans.c.project_id == project_row)
    else:
        # Resolved first, and without the project, which the trace implies: no other index is
        # as good, and none is left to choose.
        known = select(traces.c.id).where(
            traces.c.project_id == project_row, traces.c.trace_id.in_(wanted.trace_ids)
        )
        conditions.append(spans.c.trace_row.in_(connection.execute(known).scalars().all()))
    if wanted.span_ids is not None:
        conditions.append(spans.c.span_id.in_(wanted.span_ids))
    if wanted.parent_id is not None:
        is_root = wanted.parent_id == b""
        conditions.append(
            spans.c.parent_id.is_(None) if is_root else spans.c.parent_id == wanted.parent_id
        )
    if wanted.from_ns is not None:
        conditions.append(spans.c.start_ns >= wanted.from_ns)
    if wanted.before_ns is not None:
        conditions.append(spans.c.start_ns < wanted.before_ns)
    dialect = connection.dialect.name
    conditions.extend(has_attribute(match, dialect) for match in wanted.attributes)
    return conditions
