"""What the pages about traces show. Pure values; times in nanoseconds since 1970 UTC."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from bennu.traces.projects.store import Project
from bennu.traces.spans.span_json import StoredSpan
from bennu.traces.traces.model import StoredTrace

DAY_NS: Final = 86_400 * 1_000_000_000
#: How many days the pictures of activity show, the current one included.
ACTIVITY_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class ProjectActivity:
    """One project and what happened in it lately.

    Args:
        project: the project.
        traces: of the last ``ACTIVITY_DAYS``, one count per day, the oldest first.
        tokens: the same for prompt and completion tokens together.
        errors: the same for spans that ended in an error.
        last_ns: start of the newest trace, or None.
    """

    project: Project
    traces: tuple[int, ...]
    tokens: tuple[int, ...]
    errors: tuple[int, ...]
    last_ns: int | None


class TraceRow(NamedTuple):
    """A trace as it stands in a table."""

    trace: StoredTrace
    name: str
    span_kind: str
    span_count: int
    error_count: int
    session_id: str | None


class LightSpan(NamedTuple):
    """A span without its content; the fields are columns of its row."""

    row_id: int
    span_id: bytes
    parent_id: bytes | None
    name: str
    span_kind: str
    status_code: str
    start_ns: int
    end_ns: int
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class WholeTrace:
    """One trace with all its spans, by start.

    Args:
        project: where it lies.
        trace: its sums.
        spans: without content.
        session_id: as its sender gave it, or None.
        is_cut: there are more spans than are shown.
    """

    project: Project
    trace: StoredTrace
    spans: tuple[LightSpan, ...]
    session_id: str | None
    is_cut: bool


@dataclass(frozen=True, slots=True)
class WholeSpan:
    """One span in full.

    Args:
        light: what the tree shows of it.
        span: with its content.
        sender: public id of the principal whose credential sent it.
    """

    light: LightSpan
    span: StoredSpan
    sender: str
