"""Which traces a reader asks for, and traces as they come out of the database. Pure.

Source: data-plane contract, section 7.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from bennu.traces.expressions.tree import Condition

TRACE_KIND: Final = "Trace"
SESSION_KIND: Final = "ProjectSession"


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """All must hold; an absent one is None, an empty tuple matches nothing.

    Args:
        session_rows: rows of sessions of the project.
        has_error: whether a span of the trace has the status ERROR.
        from_ns: start at or after, nanoseconds since 1970 UTC.
        before_ns: start before.
        min_latency_ns: end minus start at least.
        max_latency_ns: end minus start at most.
        condition: a filter that a client wrote.
    """

    session_rows: tuple[int, ...] | None = None
    has_error: bool | None = None
    from_ns: int | None = None
    before_ns: int | None = None
    min_latency_ns: int | None = None
    max_latency_ns: int | None = None
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class TraceOrder:
    """By start or by latency; the largest first unless ascending."""

    by_latency: bool = False
    ascending: bool = False


class StoredTrace(NamedTuple):
    """One trace; the fields are columns of its row."""

    row_id: int
    trace_id: bytes
    project_row: int
    session_row: int | None
    start_ns: int
    end_ns: int
    prompt_tokens: int
    completion_tokens: int

    @property
    def latency_ns(self) -> int:
        """End minus start."""
        return self.end_ns - self.start_ns


class SpanOfTrace(NamedTuple):
    """A span as it stands in a list of traces."""

    row_id: int
    trace_row: int
    span_id: bytes
    parent_id: bytes | None
    name: str
    span_kind: str
    status_code: str
    start_ns: int
    end_ns: int


class TracePlace(NamedTuple):
    """Where a trace lies."""

    row_id: int
    trace_id: bytes
    project_row: int
    session_row: int | None
