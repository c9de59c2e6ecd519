"""Spans as the REST interface writes and reads them.

Times are ISO-8601 with an offset, attributes have dotted keys, and the kind is the text that was
sent, which may be none of the known kinds.

Source: contract/data-plane.md section 6 (Span JSON, POST /v1/projects/{p}/spans).
"""

import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.traces.spans.attributes import flatten
from bennu.traces.spans.events import SpanEvent, events_to_json, iso_from_ns
from bennu.traces.spans.model import (
    LATEST_NS,
    MOST_SPANS_PER_REQUEST,
    STATUS_CODES,
    Span,
    UnusableSpanError,
    indexed_text,
    text_without_nul,
)
from bennu.traces.spans.openinference import (
    SPAN_KIND_KEY,
    Described,
    decode_json_text,
    describe_attributes,
    require_bounded_depth,
)

NAIVE_TIME: Final = (
    "timezone-naive timestamp is not allowed; "
    "all timestamps must be timezone-aware (e.g., use UTC)."
)
_NOT_A_TIME: Final = "Input should be an ISO-8601 date and time between the years 1970 and 2262"
_FRACTION: Final = re.compile(r"[.,](\d{6})(\d{1,3})")
_PATH_STEP: Final = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]")
_MISSING_FIELD: Final = re.compile(r"missing required field `(\w+)`")
_ID_BYTES: Final = {"trace_id": 16, "span_id": 8, "parent_id": 8}
#: What one answer tells about the fields of a request; more would not help anybody.
_PROBLEMS_TOLD: Final = 100


class StoredSpan(msgspec.Struct, frozen=True, gc=False):
    """A span as it comes out of the database; the fields are those of ``model.Span``."""

    row_id: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    name: str
    start_ns: int
    end_ns: int
    status_code: str
    status_message: str
    attributes: bytes
    events: bytes


class InvalidSpan(msgspec.Struct, frozen=True):
    """A posted span that is well-formed and cannot be used; the ids are the texts as sent."""

    trace_id: str
    span_id: str
    error: str


class _PostedContext(msgspec.Struct):
    trace_id: str
    span_id: str


class _PostedEvent(msgspec.Struct):
    name: str
    timestamp: str
    attributes: dict[str, Any] | None = None


class _PostedSpan(msgspec.Struct):
    name: str
    context: _PostedContext
    span_kind: str
    start_time: str
    end_time: str
    status_code: str
    parent_id: str | None = None
    status_message: str | None = None
    attributes: dict[str, Any] | None = None
    events: list[_PostedEvent] | None = None


class _TimeError(ValueError):
    """A time that is not as the interface demands."""


class _NaiveTimeError(_TimeError):
    """A time without a zone."""


def span_to_json(span: StoredSpan, public_id: str) -> dict[str, object]:
    """Return a span as the REST interface shows it.

    Args:
        span: attributes and events as JSON.
        public_id: of the row.
    """
    attributes = flatten(decode_json_text(span.attributes))
    kind = attributes.pop(SPAN_KIND_KEY, None)
    return {
        "id": public_id,
        "name": span.name,
        "context": {"trace_id": span.trace_id.hex(), "span_id": span.span_id.hex()},
        "span_kind": kind if isinstance(kind, str) else "UNKNOWN",
        "parent_id": None if span.parent_id is None else span.parent_id.hex(),
        "start_time": iso_from_ns(span.start_ns),
        "end_time": iso_from_ns(span.end_ns),
        "status_code": span.status_code,
        "status_message": span.status_message,
        "attributes": attributes,
        "events": decode_json_text(span.events),
    }


def spans_from_json(items: Sequence[object]) -> tuple[tuple[Span, ...], tuple[InvalidSpan, ...]]:
    """Read posted spans.

    Args:
        items: the list under ``data`` of the body, decoded.

    Returns:
        Those that can be stored, in order, and those that cannot although they are well-formed.

    Raises:
        SchemaError: a field is missing, of the wrong type, or a time without a zone; each problem
            names its span by position. Or there are more than 50,000 of them.
    """
    if len(items) > MOST_SPANS_PER_REQUEST:
        text = f"List should have at most {MOST_SPANS_PER_REQUEST} items"
        raise SchemaError(FieldProblem(("body", "data"), text))
    spans: list[Span] = []
    invalid: list[InvalidSpan] = []
    problems: list[FieldProblem] = []
    for position, item in enumerate(items):
        if len(problems) >= _PROBLEMS_TOLD:
            break
        loc = ("body", "data", position)
        try:
            posted = msgspec.convert(item, _PostedSpan)
        except msgspec.ValidationError as error:
            problems.append(_schema_problem(loc, str(error)))
            continue
        found = _value_problems(posted, loc)
        if found:
            problems += found
            continue
        try:
            spans.append(_span_of(posted))
        except UnusableSpanError as error:
            context = posted.context
            invalid.append(InvalidSpan(context.trace_id, context.span_id, str(error)))
    if problems:
        raise SchemaError(*problems[:_PROBLEMS_TOLD])
    return tuple(spans), tuple(invalid)


def _schema_problem(loc: tuple[str | int, ...], message: str) -> FieldProblem:
    """Turn msgspec's ``text - at `$.context.trace_id``` into a place and a text."""
    text, _, where = message.partition(" - at `$")
    way = tuple(step["name"] or int(step["index"]) for step in _PATH_STEP.finditer(where))
    missing = _MISSING_FIELD.search(text)
    if missing is not None:
        return FieldProblem((*loc, *way, missing[1]), "Field required", "missing")
    return FieldProblem((*loc, *way), text)


def _value_problems(posted: _PostedSpan, loc: tuple[str | int, ...]) -> list[FieldProblem]:
    problems: list[FieldProblem] = []
    times = {"start_time": posted.start_time, "end_time": posted.end_time}
    for position, event in enumerate(posted.events or ()):
        times[f"events.{position}.timestamp"] = event.timestamp
    for name, text in times.items():
        try:
            _time_ns(text)
        except _NaiveTimeError:
            problems.append(FieldProblem(loc, f"Value error, {name}: {NAIVE_TIME}"))
        except _TimeError:
            way = (int(step) if step.isdigit() else step for step in name.split("."))
            problems.append(FieldProblem((*loc, *way), _NOT_A_TIME, seen=text[:100]))
    if posted.status_code.upper() not in STATUS_CODES:
        allowed = ", ".join(STATUS_CODES)
        problems.append(
            FieldProblem(
                (*loc, "status_code"),
                f"Input should be one of {allowed}",
                seen=posted.status_code[:100],
            )
        )
    return problems


def _time_ns(text: str) -> int:
    """Return nanoseconds since 1970 UTC; nine digits of a second count.

    Raises:
        _TimeError: not a time, one without a zone, before 1970, or beyond 64 bits.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise _NaiveTimeError
        time_ns = to_microseconds(moment) * 1_000
    except _TimeError:
        raise
    except (ValueError, OverflowError):
        raise _TimeError from None
    finer = _FRACTION.search(text)
    if finer is not None:
        time_ns += int(finer[2].ljust(3, "0"))
    # As over OTLP; a duration, the difference of two of these, stays within 64 bits too.
    if not 0 <= time_ns <= LATEST_NS:
        raise _TimeError
    return time_ns


def _span_of(posted: _PostedSpan) -> Span:
    described = _described(posted)
    parent_id = posted.parent_id
    return Span(
        _id_bytes(posted.context.trace_id, "trace_id"),
        _id_bytes(posted.context.span_id, "span_id"),
        _id_bytes(parent_id, "parent_id") if parent_id else None,
        indexed_text(posted.name, "name"),
        described.span_kind,
        _time_ns(posted.start_time),
        _time_ns(posted.end_time),
        posted.status_code.upper(),
        text_without_nul(posted.status_message or ""),
        described.attributes,
        _events_of(posted),
        described.session_id,
        described.prompt_tokens,
        described.completion_tokens,
    )


def _described(posted: _PostedSpan) -> Described:
    """Store the attributes; the kind goes among them, where it stands in spans from exporters."""
    attributes = posted.attributes or {}
    require_bounded_depth(attributes)
    flat = flatten(attributes)
    flat[SPAN_KIND_KEY] = posted.span_kind
    present = {key: value for key, value in flat.items() if value is not None}
    return describe_attributes(tuple(present), list(present.values()))


def _events_of(posted: _PostedSpan) -> bytes:
    events = posted.events or ()
    for event in events:
        require_bounded_depth(event.attributes)
    return events_to_json(
        [
            SpanEvent(event.name, _time_ns(event.timestamp), event.attributes or {})
            for event in events
        ]
    )


def _id_bytes(text: str, what: str) -> bytes:
    """Read a hexadecimal id.

    Raises:
        UnusableSpanError: it has another length, other characters, or is all zero.
    """
    size_bytes = _ID_BYTES[what]
    try:
        raw = binascii.unhexlify(text)
    except ValueError:
        raw = b""
    if len(raw) != size_bytes or not any(raw):
        raise UnusableSpanError(f"{what} should be {size_bytes * 2} hexadecimal digits, not all 0")
    return raw
