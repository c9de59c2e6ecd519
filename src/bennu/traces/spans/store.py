"""Writing spans: a batch into traces, sessions and sums in one transaction; deleting one.

No statement is run per span. A batch is written as if it held nothing known; when the database
says that a span is there already, the attempt is rolled back to a savepoint and repeated without
the known ones, so that sums never count a span twice.

Source: data-plane contract, section 4. Decisions 4, 5, 11.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bennu.kernel.errors import ConflictError, InvalidError, UnavailableError
from bennu.storage.bulk import run_with_rows, savepoint
from bennu.storage.failures import database_failure, is_row_gone
from bennu.traces.spans.bulk import SpanTakenError, add_span_rows
from bennu.traces.spans.model import Span
from bennu.traces.spans.rollups import NOTHING, Sums, added, rolled_up
from bennu.traces.spans.statements import (
    ANCESTORS,
    ANCESTORS_CHANGED,
    KNOWN_SPANS,
    SESSIONS_MADE,
    SESSIONS_WIDENED,
    TRACES_MADE,
    TRACES_WITH_SESSION,
    WAITING_CHILDREN,
)

#: Spans per statement round; more are written in several rounds of one transaction.
_ROUND_SIZE: Final = 2_000
_JSON_CODEC: Final = 0
_ERROR: Final = "ERROR"
_DELETED_MEANWHILE: Final = "A project was deleted while its spans were being stored"

TraceKey = tuple[int, bytes]
Arrivals = dict[tuple[int, bytes], "Arrival"]


class UnstorableSpansError(InvalidError):
    """The database refuses the content of these spans; sending them again does not help."""


class KnownSpansError(ConflictError):
    """Spans that must be new are known already; nothing was stored."""

    def __init__(self, spans: tuple[Span, ...]) -> None:
        super().__init__("The request holds spans that are known already")
        self.spans = spans


class Arrival(NamedTuple):
    """One span on its way into the database."""

    project_row: int
    sender: str
    span: Span


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Spans of one project from one sender.

    Args:
        project_row: row of the project.
        sender: public id of the principal that sent them.
        spans: in the order in which they were sent.
    """

    project_row: int
    sender: str
    spans: Sequence[Span]


class _TraceRow(NamedTuple):
    row: int
    session_row: int | None
    start_ns: int
    end_ns: int
    is_new: bool


def insert_spans(connection: Connection, batches: Iterable[SpanBatch]) -> int:
    """Write spans with their traces, sessions and sums; known ones change nothing.

    Returns:
        How many were new.

    Raises:
        UnstorableSpansError: the database refuses their content.
        UnavailableError: a project was deleted since its row was read; sending them again makes
            it anew.
    """
    arrivals: Arrivals = {}
    for batch in batches:
        project_row, sender = batch.project_row, batch.sender
        for span in batch.spans:
            arrivals.setdefault((project_row, span.span_id), Arrival(project_row, sender, span))
    in_order = list(arrivals.items())
    inserted = 0
    try:
        for start in range(0, len(in_order), _ROUND_SIZE):
            inserted += _insert_round(connection, dict(in_order[start : start + _ROUND_SIZE]))
    except (DBAPIError, OverflowError, UnicodeEncodeError) as error:
        if database_failure(error) is not None:
            raise
        if is_row_gone(error):
            raise UnavailableError(_DELETED_MEANWHILE, retry_after_seconds=1.0) from error
        raise UnstorableSpansError(
            "The spans cannot be stored", detail=type(error).__name__
        ) from error
    return inserted


def refuse_known_spans(connection: Connection, batches: Iterable[SpanBatch]) -> None:
    """Refuse spans that are known, or that are given twice.

    Raises:
        KnownSpansError: names them, in the order in which they were given.
    """
    given = [(batch.project_row, span) for batch in batches for span in batch.spans]
    keys = [(project_row, span.span_id) for project_row, span in given]
    seen = set(run_with_rows(connection, KNOWN_SPANS, sorted(set(keys)))) if keys else set()
    known: list[Span] = []
    for key, (_, span) in zip(keys, given, strict=True):
        if key in seen:
            known.append(span)
        seen.add(key)
    if known:
        raise KnownSpansError(tuple(known))


def _insert_round(connection: Connection, arrivals: Arrivals) -> int:
    while arrivals:
        try:
            with savepoint(connection):
                _write(connection, list(arrivals.values()))
            return len(arrivals)
        except SpanTakenError:
            known = set(run_with_rows(connection, KNOWN_SPANS, list(arrivals)))
            arrivals = {key: arrival for key, arrival in arrivals.items() if key not in known}
    return 0


def _write(connection: Connection, arrivals: list[Arrival]) -> None:
    by_trace: dict[TraceKey, list[Span]] = {}
    for project_row, _, span in arrivals:
        by_trace.setdefault((project_row, span.trace_id), []).append(span)
    sessions = _sessions_of(connection, by_trace)
    traces = _write_traces(connection, by_trace, sessions)
    _widen_sessions(connection, traces)
    totals = _roll_up(connection, by_trace, traces)
    rows = [
        _row_of(arrival, traces[arrival.project_row, arrival.span.trace_id].row, totals)
        for arrival in arrivals
    ]
    add_span_rows(connection, rows)


def _row_of(
    arrival: Arrival, trace_row: int, totals: dict[tuple[int, bytes], Sums]
) -> tuple[Any, ...]:
    project_row, sender, span = arrival
    total = totals.get((trace_row, span.span_id), NOTHING)
    return (
        trace_row,
        project_row,
        span.span_id,
        span.parent_id,
        span.name,
        span.span_kind,
        span.start_ns,
        span.end_ns,
        span.status_code,
        span.status_message,
        span.prompt_tokens,
        span.completion_tokens,
        *total,
        sender,
        _JSON_CODEC,
        None,
        span.attributes,
        span.events,
    )


def _sessions_of(
    connection: Connection, by_trace: dict[TraceKey, list[Span]]
) -> dict[TraceKey, int]:
    """Find or make the session of each trace that names one and has none yet."""
    named: dict[TraceKey, str] = {}
    for key, spans in by_trace.items():
        session_id = next((span.session_id for span in spans if span.session_id), None)
        if session_id is not None:
            named[key] = session_id
    if not named:
        return {}
    for project_row, trace_id in run_with_rows(connection, TRACES_WITH_SESSION, list(named)):
        del named[project_row, trace_id]
    ranges: dict[tuple[int, str], tuple[int, int]] = {}
    for key, session_id in named.items():
        start_ns, end_ns = _range_of(by_trace[key])
        session = (key[0], session_id)
        known = ranges.get(session, (start_ns, end_ns))
        ranges[session] = (min(known[0], start_ns), max(known[1], end_ns))
    rows = [(*session, *times) for session, times in sorted(ranges.items())]
    found = {
        (project_row, session_id): row
        for project_row, session_id, row in run_with_rows(connection, SESSIONS_MADE, rows)
    }
    return {key: found[key[0], session_id] for key, session_id in named.items()}


def _range_of(spans: list[Span]) -> tuple[int, int]:
    return min(span.start_ns for span in spans), max(span.end_ns for span in spans)


def _own(span: Span) -> Sums:
    return Sums(
        1 if span.status_code == _ERROR else 0,
        span.prompt_tokens or 0,
        span.completion_tokens or 0,
    )


def _write_traces(
    connection: Connection,
    by_trace: dict[TraceKey, list[Span]],
    sessions: dict[TraceKey, int],
) -> dict[TraceKey, _TraceRow]:
    """Make or widen each trace once, whatever the number of its spans."""
    rows = []
    # Sorted, so that two processes lock the same traces in the same order.
    for key in sorted(by_trace):
        spans = by_trace[key]
        total = NOTHING
        for span in spans:
            total = added(total, _own(span))
        rows.append((*key, sessions.get(key), *_range_of(spans), len(spans), *total))
    made = {}
    for project_row, trace_id, row, session_row, start_ns, end_ns, span_count in run_with_rows(
        connection, TRACES_MADE, rows
    ):
        is_new = span_count == len(by_trace[project_row, trace_id])
        made[project_row, trace_id] = _TraceRow(row, session_row, start_ns, end_ns, is_new)
    return made


def _widen_sessions(connection: Connection, traces: dict[TraceKey, _TraceRow]) -> None:
    ranges: dict[int, tuple[int, int]] = {}
    for trace in traces.values():
        if trace.session_row is not None:
            start_ns, end_ns = ranges.get(trace.session_row, (trace.start_ns, trace.end_ns))
            ranges[trace.session_row] = (
                min(start_ns, trace.start_ns),
                max(end_ns, trace.end_ns),
            )
    if ranges:
        rows = [(row, *times) for row, times in sorted(ranges.items())]
        run_with_rows(connection, SESSIONS_WIDENED, rows)


def _roll_up(
    connection: Connection,
    by_trace: dict[TraceKey, list[Span]],
    traces: dict[TraceKey, _TraceRow],
) -> dict[tuple[int, bytes], Sums]:
    """Return the cumulative sums of the new spans, by (trace row, span id).

    A trace that begins with this batch is added up here alone. For others the database is asked
    twice per batch: which known spans waited for a new one as their parent, and which known
    spans stand above the new ones; the latter are changed.
    """
    parents: dict[int, dict[bytes, bytes | None]] = {}
    own: dict[int, dict[bytes, Sums]] = {}
    grown: list[tuple[int, int, Span]] = []
    for key, spans in by_trace.items():
        trace = traces[key]
        parents[trace.row] = {span.span_id: span.parent_id for span in spans}
        own[trace.row] = {span.span_id: _own(span) for span in spans}
        if not trace.is_new:
            grown.extend((trace.row, key[0], span) for span in spans)
    ancestors = _join_known(connection, grown, parents, own) if grown else {}
    totals = {
        (trace_row, span_id): total
        for trace_row, graph in parents.items()
        for span_id, total in rolled_up(graph, own[trace_row]).items()
    }
    changed = [(row, *totals[key]) for key, row in ancestors.items() if totals.get(key) != NOTHING]
    if changed:
        run_with_rows(connection, ANCESTORS_CHANGED, sorted(changed))
    return totals


def _join_known(
    connection: Connection,
    grown: list[tuple[int, int, Span]],
    parents: dict[int, dict[bytes, bytes | None]],
    own: dict[int, dict[bytes, Sums]],
) -> dict[tuple[int, bytes], int]:
    """Put the known spans around the new ones into the graphs; return the ancestors' rows."""
    new_keys = [(trace_row, span.span_id) for trace_row, _, span in grown]
    for trace_row, parent_id, *waiting in run_with_rows(connection, WAITING_CHILDREN, new_keys):
        sums = own[trace_row]
        sums[parent_id] = added(sums[parent_id], Sums(*(int(value) for value in waiting)))
    above = {
        (trace_row, project_row, span.parent_id)
        for trace_row, project_row, span in grown
        if span.parent_id is not None and span.parent_id not in parents[trace_row]
    }
    found = run_with_rows(connection, ANCESTORS, sorted(above)) if above else []
    for _, trace_row, span_id, parent_id in found:
        parents[trace_row][span_id] = parent_id
    return {(trace_row, span_id): row for row, trace_row, span_id, _ in found}
