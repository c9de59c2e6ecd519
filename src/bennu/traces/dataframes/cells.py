"""What stands in the cells of a dataframe: fields of a span, its attributes, lists in them. Pure.

Attributes are spread out to their leaves, but for lists of objects and for what was sent as JSON
in a text (metadata, parameters of tools): those stay whole.

Source: data-plane contract, section 6.1 (columns with default query).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from bennu.kernel.clock import from_microseconds
from bennu.traces.dataframes.model import FrameSpan
from bennu.traces.spans.attribute_query import paths_to
from bennu.traces.spans.attributes import is_position, key_segments
from bennu.traces.spans.openinference import decode_json_text

#: Keys that end so hold an object as a value of its own.
_WHOLE_ENDS: Final = ("metadata", "llm.prompt_template.variables", "tool.parameters")
#: The columns of whole spans, before their attributes.
WHOLE: Final = (
    "name",
    "span_kind",
    "parent_id",
    "start_time",
    "end_time",
    "status_code",
    "status_message",
    "events",
    "context.span_id",
    "context.trace_id",
)


class Time(NamedTuple):
    """A cell that is a time, as it is written."""

    text: str


def _time(time_ns: int) -> Time:
    """Write nanoseconds as pandas does, in microseconds."""
    moment = from_microseconds(time_ns // 1_000)
    return Time(moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06}000Z")


_FIELDS: Final[Mapping[str, Callable[[FrameSpan], Any]]] = {
    "name": lambda span: span.name,
    "span_kind": lambda span: span.span_kind,
    "parent_id": lambda span: None if span.parent_id is None else span.parent_id.hex(),
    "start_time": lambda span: _time(span.start_ns),
    "end_time": lambda span: _time(span.end_ns),
    "status_code": lambda span: span.status_code,
    "status_message": lambda span: span.status_message,
    "events": lambda span: decode_json_text(span.events),
    "context.span_id": lambda span: span.span_id.hex(),
    "context.trace_id": lambda span: span.trace_id.hex(),
    "span_id": lambda span: span.span_id.hex(),
    "trace_id": lambda span: span.trace_id.hex(),
    "latency_ms": lambda span: (span.end_ns - span.start_ns) / 1e6,
    "cumulative_error_count": lambda span: span.cumulative_error_count,
    "cumulative_llm_token_count_prompt": lambda span: span.cumulative_prompt_tokens,
    "cumulative_llm_token_count_completion": lambda span: span.cumulative_completion_tokens,
    "cumulative_llm_token_count_total": (
        lambda span: span.cumulative_prompt_tokens + span.cumulative_completion_tokens
    ),
}


class Cells:
    """The cells of one span."""

    def __init__(self, span: FrameSpan) -> None:
        self._span = span

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The nested attributes."""
        decoded: dict[str, Any] = decode_json_text(self._span.attributes)
        return decoded

    def of_key(self, key: str) -> object:
        """Return a field of the span or else an attribute; None where there is none."""
        field = _FIELDS.get(key)
        if field is not None:
            return field(self._span)
        return _spread_value(self.found(key), key)

    def found(self, key: str) -> object:
        """Return an attribute as it is stored; None where there is none."""
        return value_at(self.attributes, key.removeprefix("attributes."))

    def whole(self) -> Iterator[tuple[str, object]]:
        """Yield the columns of a whole span."""
        for key in WHOLE:
            yield key, self.of_key(key)
        for key, value in spread(self.attributes):
            yield f"attributes.{key}", value


def value_at(document: Mapping[str, Any], key: str) -> object:
    """Return what stands at a dotted key of a nested object; None where nothing does."""
    segments = tuple(key_segments(key))
    for way in paths_to(segments) if segments else ():
        node: Any = document
        for segment in way:
            node = _step(node, segment)
        if node is not None:
            return node
    return None


def _step(node: object, segment: str) -> object:
    if isinstance(node, dict):
        return node.get(segment)
    if isinstance(node, list) and is_position(segment) and int(segment) < len(node):
        return node[int(segment)]
    return None


def spread(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the leaves of a nested object with their dotted keys."""
    for name, value in document.items():
        key = prefix + name
        if isinstance(value, dict) and value and not key.endswith(_WHOLE_ENDS):
            yield from spread(value, key + ".")
        else:
            yield key, _spread_value(value, key)


def _spread_value(value: object, key: str) -> object:
    """Spread the objects of a list, each on its own."""
    if isinstance(value, list) and not key.endswith(_WHOLE_ENDS):
        return [dict(spread(one)) if isinstance(one, dict) else one for one in value]
    return value
