"""Spans for tests, told apart by small numbers."""

import msgspec

from bennu.traces.spans.attributes import nest
from bennu.traces.spans.model import Span

SECOND_NS = 1_000_000_000


def trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def make_span(number: int, trace: int = 1, parent: int | None = None, **changes: object) -> Span:
    """Return a span that starts ``number`` seconds after the epoch and takes one second."""
    attributes = changes.pop("attributes", {})
    assert isinstance(attributes, dict)
    span = Span(
        trace_id=trace_id(trace),
        span_id=span_id(number),
        parent_id=None if parent is None else span_id(parent),
        name=f"span {number}",
        span_kind="CHAIN",
        start_ns=number * SECOND_NS,
        end_ns=(number + 1) * SECOND_NS,
        status_code="OK",
        status_message="",
        attributes=msgspec.json.encode(nest(attributes)),
        events=b"[]",
        session_id=None,
        prompt_tokens=None,
        completion_tokens=None,
    )
    return msgspec.structs.replace(span, **changes)
