"""Reads for the pages about traces; over indexed columns only."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
)

from bennu.storage.parts import parts_of
from bennu.storage.schema import projects, spans, trace_sessions, traces
from bennu.traces.browsing.model import ACTIVITY_DAYS, DAY_NS, LightSpan
from bennu.traces.traces.model import StoredTrace

_LIGHT_COLUMNS: Final = (
    spans.c.id,
    spans.c.span_id,
    spans.c.parent_id,
    spans.c.name,
    spans.c.span_kind,
    spans.c.status_code,
    spans.c.start_ns,
    spans.c.end_ns,
    spans.c.prompt_tokens,
    spans.c.completion_tokens,
)


def _sums_of_day(day: int) -> Select[Any]:
    """Sum up one day; its rows come from the index by project, so that nothing is sorted."""
    begins = bindparam("from_ns", type_=BigInteger) + day * DAY_NS
    tokens = func.sum(traces.c.prompt_tokens + traces.c.completion_tokens)
    return (
        select(
            traces.c.project_id,
            literal_column(str(day)),
            func.count(),
            tokens,
            func.sum(traces.c.error_count),
        )
        .where(
            traces.c.project_id.in_(bindparam("project_rows", expanding=True)),
            traces.c.start_ns >= begins,
            traces.c.start_ns < begins + DAY_NS,
        )
        .group_by(traces.c.project_id)
    )


#: Built once: SQLAlchemy takes longer to build it than the database to run it.
_SUMS_BY_DAY: Final = union_all(*(_sums_of_day(day) for day in range(ACTIVITY_DAYS)))


def daily_sums(
    connection: Connection, project_rows: Sequence[int], from_ns: int
) -> list[tuple[int, int, int, int, int]]:
    """Return (project row, day since ``from_ns``, traces, tokens, errors) for days with traces.

    ``ACTIVITY_DAYS`` days are looked at; what is said to start later is left out.
    """
    given = {"project_rows": list(project_rows), "from_ns": from_ns}
    rows = connection.execute(_SUMS_BY_DAY, given)
    return [(int(p), int(d), int(c), int(t), int(e)) for p, d, c, t, e in rows]


def newest_starts(connection: Connection, project_rows: Sequence[int]) -> dict[int, int | None]:
    """Return when the newest trace of each project started; one step of an index for each."""
    newest = select(func.max(traces.c.start_ns)).where(traces.c.project_id == projects.c.id)
    statement = select(projects.c.id, newest.scalar_subquery()).where(
        projects.c.id.in_(project_rows)
    )
    return {int(row[0]): row[1] for row in connection.execute(statement)}


def newest_trace_row(connection: Connection) -> int:
    """Return the row of the trace that arrived last, in whatever project; 0 without any."""
    return int(connection.execute(select(func.max(traces.c.id))).scalar() or 0)


def count_traces_after(connection: Connection, project_row: int, row: int, most: int) -> int:
    """Return how many traces of a project are among the ``most`` that arrived last after a row."""
    last = select(traces.c.project_id).where(traces.c.id > row).order_by(traces.c.id.desc())
    some = last.limit(most).subquery()
    statement = select(func.count()).select_from(some).where(some.c.project_id == project_row)
    return int(connection.execute(statement).scalar_one())


def find_trace(connection: Connection, project_row: int, trace_id: bytes) -> StoredTrace | None:
    """Return a trace of a project by the id that its sender gave."""
    statement = select(
        traces.c.id,
        traces.c.trace_id,
        traces.c.project_id,
        traces.c.session_id,
        traces.c.start_ns,
        traces.c.end_ns,
        traces.c.prompt_tokens,
        traces.c.completion_tokens,
    ).where(traces.c.trace_id == trace_id, traces.c.project_id == project_row)
    row = connection.execute(statement).first()
    return None if row is None else StoredTrace(*row)


def light_spans(connection: Connection, trace_row: int, most: int) -> list[LightSpan]:
    """Return up to ``most`` spans of a trace by start, without their content."""
    statement = (
        select(*_LIGHT_COLUMNS)
        .where(spans.c.trace_row == trace_row)
        .order_by(spans.c.start_ns, spans.c.id)
        .limit(most)
    )
    return [_light(tuple(row)) for row in connection.execute(statement)]


def _light(values: tuple[Any, ...]) -> LightSpan:
    return LightSpan(*values)


def find_span(
    connection: Connection, trace_row: int, span_id: bytes
) -> tuple[LightSpan, str] | None:
    """Return a span of a trace and the principal that sent it."""
    statement = select(*_LIGHT_COLUMNS, spans.c.sender).where(
        spans.c.trace_row == trace_row, spans.c.span_id == span_id
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    values: tuple[Any, ...] = tuple(row)
    return _light(values[:-1]), str(values[-1])


def faces_of_traces(
    connection: Connection, trace_rows: Sequence[int]
) -> dict[int, tuple[str, str, int, int, str | None]]:
    """Return for each trace (name and kind of its first root, spans, errors, session id)."""
    found: dict[int, tuple[str, str, int, int, str | None]] = {}
    for part in parts_of(trace_rows):
        roots = _roots(connection, part)
        statement = (
            select(
                traces.c.id, traces.c.span_count, traces.c.error_count, trace_sessions.c.session_id
            )
            .select_from(
                traces.outerjoin(trace_sessions, trace_sessions.c.id == traces.c.session_id)
            )
            .where(traces.c.id.in_(part))
        )
        for row_id, span_count, error_count, session_id in connection.execute(statement):
            name, kind = roots.get(row_id, ("", "UNKNOWN"))
            found[row_id] = (name, kind, span_count, error_count, session_id)
    return found


def _roots(connection: Connection, trace_rows: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Return name and kind of the earliest root of each trace."""
    statement = select(spans.c.trace_row, spans.c.name, spans.c.span_kind, spans.c.start_ns).where(
        and_(spans.c.trace_row.in_(trace_rows), spans.c.parent_id.is_(None))
    )
    earliest: dict[int, Any] = {}
    for row in connection.execute(statement):
        known = earliest.get(row.trace_row)
        if known is None or row.start_ns < known.start_ns:
            earliest[row.trace_row] = row
    return {key: (row.name, row.span_kind) for key, row in earliest.items()}


def session_id_of(connection: Connection, session_row: int | None) -> str | None:
    """Return the id that a sender gave a session."""
    if session_row is None:
        return None
    statement = select(trace_sessions.c.session_id).where(trace_sessions.c.id == session_row)
    found: str | None = connection.execute(statement).scalar()
    return found
