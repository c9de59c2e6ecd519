"""Spans in the shape of OTLP as the REST interface shows it: snake case, every member present.

Source: data-plane contract, section 6 (otlpv1).
"""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from bennu.kernel.clock import to_microseconds
from bennu.traces.spans.attributes import encode_value, flatten
from bennu.traces.spans.model import STATUS_CODES
from bennu.traces.spans.openinference import decode_json_text
from bennu.traces.spans.span_json import StoredSpan

_INTEGERS: Final = range(-(2**63), 2**63)


class OtlpArrayValue(msgspec.Struct):
    """A list."""

    values: list["OtlpAnyValue"]


class OtlpAnyValue(msgspec.Struct):
    """A value; the one member that is not null says of which type."""

    array_value: OtlpArrayValue | None = None
    bool_value: bool | None = None
    bytes_value: str | None = None
    double_value: float | None = None
    int_value: int | None = None
    kvlist_value: None = None
    string_value: str | None = None


class OtlpKeyValue(msgspec.Struct):
    """An attribute."""

    key: str
    value: OtlpAnyValue


class OtlpEvent(msgspec.Struct):
    """Something that happened during a span."""

    attributes: list[OtlpKeyValue]
    dropped_attributes_count: None
    name: str
    time_unix_nano: int


class OtlpStatus(msgspec.Struct):
    """How a span ended: 0 unset, 1 well, 2 in error."""

    code: int
    message: str | None


class OtlpSpan(msgspec.Struct, kw_only=True):
    """A span; what Bennu does not keep is null."""

    attributes: list[OtlpKeyValue]
    dropped_attributes_count: None = None
    dropped_events_count: None = None
    dropped_links_count: None = None
    end_time_unix_nano: int
    events: list[OtlpEvent] | None
    flags: None = None
    kind: Literal["SPAN_KIND_INTERNAL"] = "SPAN_KIND_INTERNAL"
    links: None = None
    name: str
    parent_span_id: str | None
    span_id: str
    start_time_unix_nano: int
    status: OtlpStatus
    trace_id: str
    trace_state: None = None


class OtlpSpanListAnswer(msgspec.Struct):
    """One page of spans."""

    data: list[OtlpSpan]
    next_cursor: str | None


def span_to_otlp(span: StoredSpan) -> OtlpSpan:
    """Return a stored span in the shape of OTLP."""
    events = decode_json_text(span.events)
    return OtlpSpan(
        attributes=_attributes(flatten(decode_json_text(span.attributes))),
        end_time_unix_nano=span.end_ns,
        events=[_event(event) for event in events] or None,
        name=span.name,
        parent_span_id=None if span.parent_id is None else span.parent_id.hex(),
        span_id=span.span_id.hex(),
        start_time_unix_nano=span.start_ns,
        status=OtlpStatus(STATUS_CODES.index(span.status_code), span.status_message or None),
        trace_id=span.trace_id.hex(),
    )


def _event(event: dict[str, Any]) -> OtlpEvent:
    moment = datetime.fromisoformat(event["timestamp"])
    return OtlpEvent(
        attributes=_attributes(event["attributes"]),
        dropped_attributes_count=None,
        name=event["name"],
        time_unix_nano=to_microseconds(moment) * 1_000,
    )


def _attributes(flat: dict[str, object]) -> list[OtlpKeyValue]:
    return [OtlpKeyValue(key, _any_value(value)) for key, value in flat.items()]


def _any_value(value: object) -> OtlpAnyValue:
    """Return a value; objects, which stand only inside of lists, are written as JSON."""
    if isinstance(value, str):
        return OtlpAnyValue(string_value=value)
    if isinstance(value, bool):
        return OtlpAnyValue(bool_value=value)
    if isinstance(value, int) and value in _INTEGERS:
        return OtlpAnyValue(int_value=value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list):
        return OtlpAnyValue(array_value=OtlpArrayValue([_any_value(one) for one in value]))
    return OtlpAnyValue() if value is None else OtlpAnyValue(string_value=_written(value))


def _number(value: float) -> OtlpAnyValue:
    """Return a number that no integer of 64 bits is; one that no float is either, as text."""
    try:
        return OtlpAnyValue(double_value=float(value))
    except OverflowError:
        return OtlpAnyValue(string_value=str(value))


def _written(value: object) -> str:
    return encode_value(value).decode()
