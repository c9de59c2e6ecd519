"""What a table shows of a span. Pure."""

from dataclasses import dataclass
from typing import Any

import msgspec

from bennu.traces.spans.span_json import StoredSpan
from bennu.web.words import clipped


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One row; times in nanoseconds since 1970 UTC."""

    trace_id: str
    span_id: str
    name: str
    kind: str
    status: str
    start_ns: int
    end_ns: int
    model: str
    input: str
    output: str


def span_row(span: StoredSpan) -> SpanRow:
    """Read what a row needs out of a span; attributes may have any shape."""
    try:
        attributes = msgspec.json.decode(span.attributes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        attributes = {}
    return SpanRow(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.name,
        _inside(attributes, "openinference", "span", "kind") or "UNKNOWN",
        span.status_code,
        span.start_ns,
        span.end_ns,
        _inside(attributes, "llm", "model_name"),
        clipped(_inside(attributes, "input", "value")),
        clipped(_inside(attributes, "output", "value")),
    )


def _inside(attributes: Any, *way: str) -> str:  # noqa: ANN401 - anybody's attributes
    for key in way:
        if not isinstance(attributes, dict):
            return ""
        attributes = attributes.get(key)
    return attributes if isinstance(attributes, str) else ""
