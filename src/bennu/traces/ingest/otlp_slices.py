"""Where the spans of an OTLP protobuf lie, found before any of them is decoded.

A message without content takes two bytes on the wire and more than a hundred in memory, so that a
small body could take gigabytes if it were decoded at once. Its spans are therefore found by their
lengths, counted, and decoded one after the other.

Source: Protocol Buffers, "Encoding"; OpenTelemetry protocol 1.x, trace.proto. OWASP ASVS 5.0
V15.2.2.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from bennu.kernel.errors import InvalidError, TooLargeError
from bennu.traces.spans.model import MOST_SPANS_PER_REQUEST

#: Of one span or resource: attributes, values within values, events.
MOST_PARTS: Final = 100_000
#: What is smaller cannot take much memory, whatever it holds.
_SMALL_BYTES: Final = 256 * 1024

NOT_PROTOBUF: Final = "The body is not a valid OTLP protobuf"

# Numbers of the fields that hold messages; all others are passed over.
Fields = dict[int, Any]
_ANY_VALUE: Final[Fields] = {}
_KEY_VALUE: Final[Fields] = {2: _ANY_VALUE}
_ANY_VALUE[5] = {1: _ANY_VALUE}
_ANY_VALUE[6] = {1: _KEY_VALUE}
#: A span's attributes, events, links and status; a resource's attributes.
SPAN_FIELDS: Final[Fields] = {9: _KEY_VALUE, 11: {3: _KEY_VALUE}, 13: {4: _KEY_VALUE}, 15: {}}
RESOURCE_FIELDS: Final[Fields] = {1: _KEY_VALUE}
_REQUEST_RESOURCE_SPANS: Final = 1
_RESOURCE_SPANS_RESOURCE: Final = 1
_RESOURCE_SPANS_SCOPE_SPANS: Final = 2
_SCOPE_SPANS_SPAN: Final = 2

_MORE: Final = 0x80
_LOW_BITS: Final = 0x7F
_LAST_SHIFT: Final = 63
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

Range = tuple[int, int]


class ResourceSlices(NamedTuple):
    """Where one resource and its spans lie in the body.

    Args:
        resource: the pieces of the resource, which belong one behind the other; mostly one.
        spans: first byte of each span, and the one behind its last.
    """

    resource: list[Range]
    spans: list[Range]


def slices_of(body: bytes) -> list[ResourceSlices]:
    """Find resources and spans of an ``ExportTraceServiceRequest``.

    Raises:
        InvalidError: lengths or types are not those of a protobuf.
        TooLargeError: there are more than 50,000 resources, scopes and spans.
    """
    found: list[ResourceSlices] = []
    count = 0
    for number, *within in _messages(body, (0, len(body))):
        if number != _REQUEST_RESOURCE_SPANS:
            continue
        slices = ResourceSlices([], [])
        found.append(slices)
        count = _take_resource_spans(body, (within[0], within[1]), slices, count + 1)
        refuse_more_spans(count)
    return found


def _take_resource_spans(body: bytes, within: Range, slices: ResourceSlices, count: int) -> int:
    for number, start, end in _messages(body, within):
        if number == _RESOURCE_SPANS_RESOURCE:
            slices.resource.append((start, end))
            count += 1
        elif number == _RESOURCE_SPANS_SCOPE_SPANS:
            spans = slices.spans
            before = len(spans)
            for inner, first, behind in _messages(body, (start, end)):
                if inner == _SCOPE_SPANS_SPAN:
                    spans.append((first, behind))
                    if count + len(spans) - before > MOST_SPANS_PER_REQUEST:
                        break
            count += 1 + len(spans) - before
        refuse_more_spans(count)
    return count


def refuse_more_spans(count: int) -> None:
    """Refuse a request of more than 50,000 resources, scopes and spans.

    Raises:
        TooLargeError: says what to do.
    """
    if count > MOST_SPANS_PER_REQUEST:
        raise TooLargeError(
            f"The request holds more than {MOST_SPANS_PER_REQUEST} spans; "
            "send them in smaller requests"
        )


def _messages(body: bytes, within: Range) -> Iterator[tuple[int, int, int]]:
    """Go over the fields that have a length: number, first byte, the one behind the last."""
    at, end = within
    try:
        while at < end:
            key = body[at]
            at += 1
            if key >= _MORE:
                key, at = _varint(body, at - 1)
            if key & 7 == _LENGTH:
                length = body[at]
                at += 1
                if length >= _MORE:
                    length, at = _varint(body, at - 1)
                behind = at + length
                if behind > end:
                    raise InvalidError(NOT_PROTOBUF, detail="a length beyond the end")
                yield key >> 3, at, behind
                at = behind
            else:
                at = _behind(body, at, key & 7)
    except IndexError:
        raise InvalidError(NOT_PROTOBUF, detail="the body ends within a number") from None
    if at != end:
        raise InvalidError(NOT_PROTOBUF, detail="a field beyond the end")


def _varint(body: bytes, at: int) -> Range:
    """Return a number and where the next thing begins.

    Raises:
        IndexError: the body ends before.
        InvalidError: it has more than 64 bits.
    """
    value = shift = 0
    while (byte := body[at]) >= _MORE:
        value |= (byte & _LOW_BITS) << shift
        shift, at = shift + 7, at + 1
        if shift > _LAST_SHIFT:
            raise InvalidError(NOT_PROTOBUF, detail="a number of more than 64 bits")
    return value | byte << shift, at + 1


def _behind(body: bytes, at: int, wire_type: int) -> int:
    if wire_type == _VARINT:
        return _varint(body, at)[1]
    if wire_type == _FIXED64:
        return at + 8
    if wire_type == _FIXED32:
        return at + 4
    raise InvalidError(NOT_PROTOBUF, detail=f"wire type {wire_type}")


def holds_too_many_parts(body: bytes, within: Range, fields: Fields) -> bool:
    """Whether a span or a resource holds more messages than memory should be spent on.

    Args:
        body: the whole request.
        within: where it lies.
        fields: ``SPAN_FIELDS`` or ``RESOURCE_FIELDS``.

    Raises:
        InvalidError: lengths or types are not those of a protobuf.
    """
    if within[1] - within[0] <= _SMALL_BYTES:
        return False
    found = 0
    waiting: list[tuple[Range, Fields]] = [(within, fields)]
    while waiting:
        area, inner = waiting.pop()
        for number, start, end in _messages(body, area):
            known = inner.get(number)
            if known is not None:
                found += 1
                if found > MOST_PARTS:
                    return True
                waiting.append(((start, end), known))
    return False
