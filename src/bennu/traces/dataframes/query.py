"""Which spans a span query finds, and what dataframes need of them.

Source: data-plane contract, section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, or_, select

from bennu.storage.schema import spans, traces
from bennu.traces.dataframes.model import FrameSpan
from bennu.traces.expressions.sql import sql_of
from bennu.traces.expressions.tree import Condition
from bennu.traces.spans.driving import Facet, plan_list, range_facet

_COLUMNS: Final = (
    spans.c.id,
    traces.c.trace_id,
    spans.c.span_id,
    spans.c.parent_id,
    spans.c.name,
    spans.c.span_kind,
    spans.c.start_ns,
    spans.c.end_ns,
    spans.c.status_code,
    spans.c.status_message,
    spans.c.cumulative_error_count,
    spans.c.cumulative_prompt_tokens,
    spans.c.cumulative_completion_tokens,
    spans.c.attributes,
    spans.c.events,
)


@dataclass(frozen=True, slots=True)
class FrameSelection:
    """Which spans a dataframe is made of.

    Args:
        condition: the filter, or None for all.
        from_ns: start at or after, nanoseconds since 1970 UTC; None for any.
        before_ns: start before; None for any.
        only_roots: only spans without a parent.
        orphans_are_roots: a parent that is not there is none.
    """

    condition: Condition | None
    from_ns: int | None
    before_ns: int | None
    only_roots: bool
    orphans_are_roots: bool


def rows_of_frame(
    connection: Connection, project_row: int, wanted: FrameSelection, limit: int
) -> list[int]:
    """Return the rows of up to ``limit`` spans of a project, the newest first."""
    rest: list[ColumnElement[bool]] = []
    if wanted.condition is not None:
        rest.append(sql_of(wanted.condition, connection.dialect.name))
    if wanted.only_roots:
        rest.append(_is_root(orphans_too=wanted.orphans_are_roots))
    facets: list[Facet] = []
    if wanted.from_ns is not None or wanted.before_ns is not None:
        before = None if wanted.before_ns is None else wanted.before_ns - 1
        facets.append(range_facet(spans.c.start_ns, wanted.from_ns, before, gives_order=False))
    plan = plan_list(connection, spans, spans.c.project_id == project_row, facets, rest)
    (conditions,) = plan.conditions
    row = spans.c.id if plan.is_walk else spans.c.id + 0
    statement = select(spans.c.id).where(*conditions).order_by(row.desc()).limit(limit)
    return list(connection.execute(statement).scalars())


def _is_root(*, orphans_too: bool) -> ColumnElement[bool]:
    has_none = spans.c.parent_id.is_(None)
    if not orphans_too:
        return has_none
    parent = spans.alias()
    is_there = (
        select(parent.c.id)
        .where(parent.c.trace_row == spans.c.trace_row, parent.c.span_id == spans.c.parent_id)
        .correlate_except(parent)
        .exists()
    )
    return or_(has_none, ~is_there)


def frame_spans_in_rows(connection: Connection, row_ids: Sequence[int]) -> list[FrameSpan]:
    """Return the spans of these rows, in the order given; missing ones are left out."""
    statement = (
        select(*_COLUMNS)
        .join(traces, traces.c.id == spans.c.trace_row)
        .where(spans.c.id.in_(row_ids))
    )
    found = {row.id: FrameSpan(*tuple(row)) for row in connection.execute(statement)}
    return [found[row_id] for row_id in row_ids if row_id in found]
