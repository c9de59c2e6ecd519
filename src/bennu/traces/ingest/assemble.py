"""From the parts of a span, whatever encoding they came in, to the span that is stored.

Source: contract/data-plane.md sections 2.1 (project routing) and 3 (decoding).
"""

import math
from typing import Final, NamedTuple

from bennu.kernel.errors import InvalidError
from bennu.traces.ingest.gen_ai import has_gen_ai_events, with_openinference
from bennu.traces.spans.events import SpanEvent, events_to_json
from bennu.traces.spans.model import (
    LATEST_NS,
    STATUS_CODES,
    DecodedExport,
    ProjectSpans,
    Rejection,
    Span,
    UnusableSpanError,
    indexed_text,
    text_without_nul,
)
from bennu.traces.spans.openinference import plan_attributes

PROJECT_NAME_KEY: Final = "openinference.project.name"
DEFAULT_PROJECT: Final = "default"

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_NO_TRACE: Final = bytes(_TRACE_ID_BYTES)
_NO_SPAN: Final = bytes(_SPAN_ID_BYTES)
#: How many different reasons one answer tells; what comes after is counted together.
_REASONS_TOLD: Final = 20
_FURTHER: Final = "further spans that cannot be used"
_NAME_SHOWN_CHARACTERS: Final = 80


class RawSpan(NamedTuple):
    """A span as sent, with plain Python values.

    Args:
        trace_id: as sent, of any length.
        span_id: as sent, of any length.
        parent_id: as sent; empty for a root.
        name: as sent.
        start_ns: nanoseconds since 1970 UTC.
        end_ns: the same.
        status: number of the code; 1 is OK, 2 is ERROR.
        status_message: as sent.
        keys: dotted attribute keys.
        values: one per key, ready for JSON, none of them None.
        events: in the order in which they were sent.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    start_ns: int
    end_ns: int
    status: int
    status_message: str
    keys: tuple[str, ...]
    values: list[object]
    events: list[SpanEvent]


def assemble_span(raw: RawSpan) -> Span:
    """Make the span that is stored.

    Raises:
        UnusableSpanError: an id is missing or of the wrong length, a time does not fit into 64
            bits, the name or the session id is too long, a key nests too deep.
    """
    if len(raw.trace_id) != _TRACE_ID_BYTES or raw.trace_id == _NO_TRACE:
        raise UnusableSpanError("trace id is not 16 bytes, or all zero")
    if len(raw.span_id) != _SPAN_ID_BYTES or raw.span_id == _NO_SPAN:
        raise UnusableSpanError("span id is not 8 bytes, or all zero")
    if raw.parent_id and len(raw.parent_id) != _SPAN_ID_BYTES:
        raise UnusableSpanError("parent span id is not 8 bytes")
    if not (0 <= raw.start_ns <= LATEST_NS and 0 <= raw.end_ns <= LATEST_NS):
        raise UnusableSpanError("a time is not within 64-bit signed nanoseconds since 1970")
    plan = plan_attributes(raw.keys)
    values = raw.values
    if plan.has_gen_ai or (raw.events and has_gen_ai_events(raw.events)):
        keys, values = with_openinference(raw.keys, values, raw.events)
        plan = plan_attributes(keys)
    described = plan.describe(values)
    return Span(
        raw.trace_id,
        raw.span_id,
        raw.parent_id if raw.parent_id and raw.parent_id != _NO_SPAN else None,
        indexed_text(raw.name, "name"),
        described.span_kind,
        raw.start_ns,
        raw.end_ns,
        STATUS_CODES[raw.status] if 0 <= raw.status < len(STATUS_CODES) else "UNSET",
        text_without_nul(raw.status_message),
        described.attributes,
        events_to_json(raw.events),
        described.session_id,
        described.prompt_tokens,
        described.completion_tokens,
    )


def project_of_header(header_project: str | None) -> str | None:
    """Return the project that a request names in ``x-project-name``, None when it names none.

    Raises:
        InvalidError: the name is longer than 2,000 bytes.
    """
    if header_project is None or not header_project.strip():
        return None
    try:
        return indexed_text(header_project, "x-project-name")
    except UnusableSpanError as error:
        raise InvalidError(str(error)) from None


def finite_or_text(number: float) -> float | str:
    """Return a number that JSON can hold, or the text that stands for it in protobuf's JSON."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


class ExportAssembly:
    """Gathers the spans of one request by project, and what is to be told about the others.

    Args:
        header_project: the project that the request names for all its spans, or None.

    Raises:
        InvalidError: that name is longer than 2,000 bytes.
    """

    def __init__(self, header_project: str | None) -> None:
        self._header_project = project_of_header(header_project)
        self._spans_by_project: dict[str, list[Span]] = {}
        self._rejected: dict[str, int] = {}

    def spans_of(self, resource_project: object) -> list[Span]:
        """Return the list to which the spans of a resource are to be appended.

        Args:
            resource_project: what the resource says about its project, of any type.

        Raises:
            UnusableSpanError: that name is longer than 2,000 bytes.
        """
        project = self._header_project
        if project is None:
            said = resource_project if isinstance(resource_project, str) else ""
            project = indexed_text(said, PROJECT_NAME_KEY) if said.strip() else DEFAULT_PROJECT
        return self._spans_by_project.setdefault(project, [])

    def reject_span(self, name: object, span_id: bytes, error: UnusableSpanError) -> None:
        """Note a span that cannot be used."""
        shown = str(name)[:_NAME_SHOWN_CHARACTERS]
        self.reject(f"span {shown!r} ({span_id[:_SPAN_ID_BYTES].hex() or 'no id'}): {error}", 1)

    def reject(self, reason: str, count: int) -> None:
        """Note spans that cannot be used; of many different reasons only the first are kept."""
        if reason not in self._rejected and len(self._rejected) >= _REASONS_TOLD:
            reason = _FURTHER
        self._rejected[reason] = self._rejected.get(reason, 0) + count

    def finish(self) -> DecodedExport:
        """Return everything; projects without a usable span are left out."""
        projects = tuple(
            ProjectSpans(name, tuple(spans))
            for name, spans in self._spans_by_project.items()
            if spans
        )
        rejected = tuple(Rejection(reason, count) for reason, count in self._rejected.items())
        return DecodedExport(projects, rejected, sum(len(project.spans) for project in projects))
