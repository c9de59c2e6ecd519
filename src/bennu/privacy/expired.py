"""Finds the traces of a project that are past their time and not held; by index, in small parts.

Spec: lines 262-264.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, or_, select, update

from bennu.storage.schema import spans, traces
from bennu.traces.projects.held import not_held

_FEWEST_NS = -(1 << 63)


class Place(NamedTuple):
    """A place in the order of traces by start."""

    start_ns: int
    row_id: int


@dataclass(frozen=True, slots=True)
class Expiry:
    """What is past its time in one project.

    Args:
        project_row: of the project.
        before_ns: traces that began before are too old; None for any age.
        newest_gone: this trace and all before are beyond the number that stays; None for none.
    """

    project_row: int
    before_ns: int | None = None
    newest_gone: Place | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether no trace can be past its time."""
        return self.before_ns is None and self.newest_gone is None


def expiry_of(
    connection: Connection, project_row: int, before_ns: int | None, max_count: int
) -> Expiry:
    """Return what is past its time; where a number stays, the newest traces are counted off."""
    newest_gone = None
    if max_count:
        in_order = (
            select(traces.c.start_ns, traces.c.id)
            .where(traces.c.project_id == project_row)
            .order_by(traces.c.start_ns.desc(), traces.c.id.desc())
            .offset(max_count)
            .limit(1)
        )
        row = connection.execute(in_order).first()
        newest_gone = None if row is None else Place(*row)
    return Expiry(project_row, before_ns, newest_gone)


class ExpiredTrace(NamedTuple):
    """A trace that is past its time."""

    start_ns: int
    row_id: int
    span_count: int

    @property
    def place(self) -> Place:
        """Where it stands in the order."""
        return Place(self.start_ns, self.row_id)


def _conditions(expiry: Expiry) -> list[ColumnElement[bool]]:
    past: list[ColumnElement[bool]] = []
    # Bounds on the column alone let the index be used; the exact place follows them.
    if expiry.before_ns is not None:
        past.append(traces.c.start_ns < expiry.before_ns)
    if expiry.newest_gone is not None:
        start_ns, row_id = expiry.newest_gone
        at_place = and_(traces.c.start_ns == start_ns, traces.c.id <= row_id)
        past.append(or_(traces.c.start_ns < start_ns, at_place))
    return [traces.c.project_id == expiry.project_row, or_(*past)]


def _highest_ns(expiry: Expiry) -> int:
    before = _FEWEST_NS if expiry.before_ns is None else expiry.before_ns - 1
    counted = _FEWEST_NS if expiry.newest_gone is None else expiry.newest_gone.start_ns
    return max(before, counted)


def expired_traces(
    connection: Connection, expiry: Expiry, after: Place | None, limit: int
) -> list[ExpiredTrace]:
    """Return traces that are past their time and not held, the oldest first, after a place."""
    statement: Select[Any] = (
        select(traces.c.start_ns, traces.c.id, traces.c.span_count)
        .where(*_conditions(expiry), traces.c.start_ns <= _highest_ns(expiry), not_held())
        .order_by(traces.c.start_ns, traces.c.id)
        .limit(limit)
    )
    if after is not None:
        beyond = or_(
            traces.c.start_ns > after.start_ns,
            and_(traces.c.start_ns == after.start_ns, traces.c.id > after.row_id),
        )
        statement = statement.where(traces.c.start_ns >= after.start_ns, beyond)
    return [ExpiredTrace(*row) for row in connection.execute(statement)]


def count_expired(connection: Connection, expiry: Expiry) -> tuple[int, int, int]:
    """Return how many traces and spans would go, and how many traces a hold keeps."""
    if expiry.is_nothing:
        return 0, 0, 0
    past = _conditions(expiry)
    counted = select(func.count(), func.coalesce(func.sum(traces.c.span_count), 0))
    trace_count, span_count = connection.execute(counted.where(*past, not_held())).one()
    every = connection.execute(select(func.count()).select_from(traces).where(*past)).scalar_one()
    return int(trace_count), int(span_count), int(every) - int(trace_count)


def thin_out(connection: Connection, trace_row: int, limit: int) -> int:
    """Delete up to ``limit`` spans of a trace that is about to go, so that no step takes long."""
    some = select(spans.c.id).where(spans.c.trace_row == trace_row).limit(limit)
    gone = connection.execute(delete(spans).where(spans.c.id.in_(some.scalar_subquery()))).rowcount
    connection.execute(
        update(traces).where(traces.c.id == trace_row).values(span_count=traces.c.span_count - gone)
    )
    return gone
