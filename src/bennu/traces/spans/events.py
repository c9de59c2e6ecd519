"""The events of a span in the form in which they are stored and read.

Source: contract/data-plane.md section 3 (events); OpenTelemetry semantic conventions, exceptions.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bennu.kernel.clock import from_microseconds
from bennu.traces.spans.attributes import encode_value

EXCEPTION_EVENT: Final = "exception"
#: Of an exception only these are kept; instrumentations repeat whole requests in others.
_EXCEPTION_KEYS: Final = (
    "exception.message",
    "exception.type",
    "exception.escaped",
    "exception.stacktrace",
)
NO_EVENTS: Final = b"[]"


class SpanEvent(NamedTuple):
    """Something that happened during a span.

    Args:
        name: as sent.
        time_ns: nanoseconds since 1970 UTC, 0 to 2**64 - 1.
        attributes: with dotted keys, as sent; ready for JSON.
    """

    name: str
    time_ns: int
    attributes: Mapping[str, object]


def events_to_json(events: Sequence[SpanEvent]) -> bytes:
    """Return the JSON list of ``{name, timestamp, attributes}`` that is stored.

    Timestamps are ISO-8601 with ``+00:00`` and, where they are not zero, microseconds.
    """
    if not events:
        return NO_EVENTS
    return encode_value(
        [
            {
                "name": event.name,
                "timestamp": iso_from_ns(event.time_ns),
                "attributes": _kept_attributes(event),
            }
            for event in events
        ]
    )


def _kept_attributes(event: SpanEvent) -> Mapping[str, object]:
    if event.name != EXCEPTION_EVENT:
        return event.attributes
    return {key: event.attributes[key] for key in _EXCEPTION_KEYS if key in event.attributes}


def iso_from_ns(time_ns: int) -> str:
    """Return nanoseconds since 1970 UTC as ISO-8601 with ``+00:00``, cut to microseconds.

    They are cut, not rounded, so that a span is found by ``start_time >=`` the time it shows.
    """
    return from_microseconds(time_ns // 1000).isoformat()
