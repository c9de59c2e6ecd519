"""What the pages about traces read, within what the caller may see."""

from collections.abc import Sequence
from typing import Final

from bennu.access import Caller, Permission, require
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import NotFoundError
from bennu.storage.database import Connection, Database
from bennu.traces.browsing.model import (
    ACTIVITY_DAYS,
    DAY_NS,
    ProjectActivity,
    TraceRow,
    WholeSpan,
    WholeTrace,
)
from bennu.traces.browsing.query import (
    count_traces_after,
    daily_sums,
    faces_of_traces,
    find_span,
    find_trace,
    light_spans,
    newest_starts,
    newest_trace_row,
    session_id_of,
)
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.store import Project
from bennu.traces.spans.query import spans_in_rows
from bennu.traces.traces.model import StoredTrace

#: More spans of one trace are not put into one page; the interface gives them all.
MOST_SPANS: Final = 20_000
#: Among so many that arrived last, of all projects, new ones are counted.
_MOST_NEW: Final = 1_000
_MICROSECOND_NS: Final = 1_000
_NO_TRACE: Final = "There is no such trace in this project"


class Browsing:
    """The reads behind the pages about traces."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def activity_of(self, projects: Sequence[Project]) -> list[ProjectActivity]:
        """Return what happened lately in projects that the caller was shown already."""
        today = to_microseconds(self._clock.now_utc()) * _MICROSECOND_NS // DAY_NS
        from_ns = (today - ACTIVITY_DAYS + 1) * DAY_NS

        def work(connection: Connection) -> list[ProjectActivity]:
            rows = [project.row_id for project in projects]
            sums = daily_sums(connection, rows, from_ns) if rows else []
            by_day = {(row, day): values for row, day, *values in sums}
            newest = newest_starts(connection, rows) if rows else {}
            return [_activity(p, by_day, newest.get(p.row_id)) for p in projects]

        return await self._database.read(work)

    async def newest_row(self) -> int:
        """Return a mark of what has arrived so far, for ``count_newer``."""
        return await self._database.read(newest_trace_row, tiny=True)

    async def count_newer(self, caller: Caller, project: str, row: int) -> int:
        """Return how many traces of a project arrived after a mark, within bounds.

        Raises:
            NotFoundError: there is no such project that the caller may see.
        """

        def work(connection: Connection) -> int:
            found = visible_project(connection, caller, project, Permission.TRACES_READ)
            return count_traces_after(connection, found.row_id, row, _MOST_NEW)

        return await self._database.read(work)

    async def rows_of_traces(self, traces: Sequence[StoredTrace]) -> list[TraceRow]:
        """Return what a table shows of traces that the caller was shown already."""

        def work(connection: Connection) -> list[TraceRow]:
            faces = faces_of_traces(connection, [trace.row_id for trace in traces])
            nothing = ("", "UNKNOWN", 0, 0, None)
            return [TraceRow(trace, *faces.get(trace.row_id, nothing)) for trace in traces]

        return await self._database.read(work)

    async def whole_trace(self, caller: Caller, project: str, trace_id: str) -> WholeTrace:
        """Return one trace with its spans.

        Raises:
            NotFoundError: there is none that the caller may see.
        """
        require(caller.principal, Permission.TRACES_READ)

        def work(connection: Connection) -> WholeTrace:
            found, trace = _visible_trace(connection, caller, project, trace_id)
            spans = light_spans(connection, trace.row_id, MOST_SPANS + 1)
            session_id = session_id_of(connection, trace.session_row)
            is_cut = len(spans) > MOST_SPANS
            return WholeTrace(found, trace, tuple(spans[:MOST_SPANS]), session_id, is_cut)

        return await self._database.read(work)

    async def whole_span(
        self, caller: Caller, project: str, trace_id: str, span_id: str
    ) -> WholeSpan:
        """Return one span with its content.

        Raises:
            NotFoundError: there is none that the caller may see.
        """
        require(caller.principal, Permission.TRACES_READ)

        def work(connection: Connection) -> WholeSpan:
            _, trace = _visible_trace(connection, caller, project, trace_id)
            found = find_span(connection, trace.row_id, _bytes_of(span_id))
            if found is None:
                raise NotFoundError("There is no such span in this trace")
            light, sender = found
            (span,) = spans_in_rows(connection, [light.row_id])
            return WholeSpan(light, span, sender)

        return await self._database.read(work)


def _activity(
    project: Project, by_day: dict[tuple[int, int], list[int]], last_ns: int | None
) -> ProjectActivity:
    nothing = [0, 0, 0]
    days = [by_day.get((project.row_id, day), nothing) for day in range(ACTIVITY_DAYS)]
    traces, tokens, errors = zip(*days, strict=True)
    return ProjectActivity(project, traces, tokens, errors, last_ns)


def _visible_trace(
    connection: Connection, caller: Caller, project: str, trace_id: str
) -> tuple[Project, StoredTrace]:
    found = visible_project(connection, caller, project, Permission.TRACES_READ)
    trace = find_trace(connection, found.row_id, _bytes_of(trace_id))
    if trace is None:
        raise NotFoundError(_NO_TRACE)
    return found, trace


def _bytes_of(text: str) -> bytes:
    """Read an id in hexadecimal digits.

    Raises:
        NotFoundError: it is none, so that there is no such thing either.
    """
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise NotFoundError(_NO_TRACE) from None
