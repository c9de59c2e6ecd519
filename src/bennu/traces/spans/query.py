"""Reading spans: one page of a project, whatever the filters, at a cost that does not grow.

A page is found in two steps: rows by index first, then what they hold, so that sorting and
skipping never touch payloads.

Source: data-plane contract, section 6.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from bennu.storage.schema import spans, traces
from bennu.traces.spans.attribute_query import has_attribute
from bennu.traces.spans.filters import SpanFilter, SpanOrder, SpanPosition
from bennu.traces.spans.span_json import StoredSpan

_LOOKUP_SIZE: Final = 1_000
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
    rows = _ordered(select(spans.c.id).where(*conditions), order).limit(limit)
    return spans_in_rows(connection, connection.execute(rows).scalars().all())


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


def _ordered(statement: Select[Any], order: SpanOrder) -> Select[Any]:
    keys = (spans.c.start_ns, spans.c.id) if order.by_start else (spans.c.id,)
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


def _conditions(
    connection: Connection, project_row: int, wanted: SpanFilter
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [spans.c.project_id == project_row]
    if wanted.trace_ids is not None:
        # Resolved first: an index over few trace rows beats the one that gives the order.
        known = select(traces.c.id).where(
            traces.c.project_id == project_row, traces.c.trace_id.in_(wanted.trace_ids)
        )
        conditions.append(spans.c.trace_row.in_(connection.execute(known).scalars().all()))
    lists: tuple[tuple[Any, Sequence[Any] | None], ...] = (
        (spans.c.span_id, wanted.span_ids),
        (spans.c.name, wanted.names),
        (spans.c.span_kind, wanted.span_kinds),
        (spans.c.status_code, wanted.status_codes),
    )
    conditions.extend(column.in_(values) for column, values in lists if values is not None)
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
