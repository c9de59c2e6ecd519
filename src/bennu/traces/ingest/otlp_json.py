"""OTLP export requests in JSON.

Source: OpenTelemetry protocol specification, "JSON Protobuf Encoding": ids in hexadecimal, 64-bit
numbers as texts, enumerations as numbers (names are taken as well), bytes in base64, unknown
fields ignored. Keys are taken in lowerCamelCase and, leniently, in snake_case.
"""

import base64
import binascii
import re
from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from bennu.kernel.crowded_json import refuse_crowded_json
from bennu.kernel.errors import InvalidError, MalformedError
from bennu.traces.ingest.assemble import (
    PROJECT_NAME_KEY,
    ExportAssembly,
    RawSpan,
    assemble_span,
    finite_or_text,
)
from bennu.traces.ingest.otlp_slices import refuse_more_spans
from bennu.traces.spans.events import SpanEvent
from bennu.traces.spans.model import DEPTH_LIMIT, DecodedExport, UnusableSpanError

_CAPITAL: Final = re.compile(r"[A-Z]")
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")
_STATUS_NAMES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_EVENT_TIME_LIMIT_NS: Final = 2**64
_SMALLEST_INT: Final = -(2**63)
_LARGEST_INT: Final = 2**63 - 1


def decode_json(body: bytes, header_project: str | None) -> DecodedExport:
    """Decode an ``ExportTraceServiceRequest`` in JSON.

    Raises:
        MalformedError: the body is not JSON, or nests too deep to be read.
        InvalidError: it is JSON of another shape, or ``header_project`` is too long.
        TooLargeError: it holds more than 50,000 spans, or more objects than can be decoded.
    """
    assembly = ExportAssembly(header_project)
    refuse_crowded_json(body)
    try:
        request = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("The body is not valid JSON", detail=str(error)) from None
    seen = 0
    for resource_spans in _objects(_object(request, "the body"), "resourceSpans"):
        scopes = [
            _list(_field(scope_spans, "spans"), "spans")
            for scope_spans in _objects(resource_spans, "scopeSpans")
        ]
        seen += 1 + len(scopes) + sum(len(scope) for scope in scopes)
        refuse_more_spans(seen)
        _take_resource(resource_spans, scopes, assembly)
    return assembly.finish()


def _take_resource(
    resource_spans: dict[str, object], scopes: list[list[object]], assembly: ExportAssembly
) -> None:
    resource = _object(_field(resource_spans, "resource") or {}, "resource")
    try:
        spans = assembly.spans_of(_attributes(resource).get(PROJECT_NAME_KEY))
    except UnusableSpanError as error:
        assembly.reject(f"resource: {error}", sum(len(scope) for scope in scopes))
        return
    for span in (span for scope in scopes for span in scope):
        try:
            spans.append(assemble_span(_raw_span(span)))
        except UnusableSpanError as error:
            assembly.reject_span(*_identity(span), error)


def _identity(span: object) -> tuple[str, bytes]:
    """Return name and id of a span that cannot be used, as far as they can be read."""
    if not isinstance(span, dict):
        return "", b""
    name = _field(span, "name")
    try:
        return name if isinstance(name, str) else "", _id(span, "spanId")
    except UnusableSpanError:
        return name if isinstance(name, str) else "", b""


def _raw_span(span: object) -> RawSpan:
    if not isinstance(span, dict):
        raise UnusableSpanError("is not an object")
    attributes = _attributes(span)
    status = _field(span, "status")
    status = status if isinstance(status, dict) else {}
    present = {key: value for key, value in attributes.items() if value is not None}
    return RawSpan(
        _id(span, "traceId"),
        _id(span, "spanId"),
        _id(span, "parentSpanId"),
        _text(span, "name"),
        _whole(_field(span, "startTimeUnixNano"), "startTimeUnixNano"),
        _whole(_field(span, "endTimeUnixNano"), "endTimeUnixNano"),
        _status_code(_field(status, "code")),
        _text(status, "message"),
        tuple(present),
        list(present.values()),
        [_event(event) for event in _span_list(span, "events")],
    )


def _event(event: object) -> SpanEvent:
    if not isinstance(event, dict):
        raise UnusableSpanError("an event is not an object")
    time_ns = _whole(_field(event, "timeUnixNano"), "timeUnixNano")
    if not 0 <= time_ns < _EVENT_TIME_LIMIT_NS:
        raise UnusableSpanError("timeUnixNano of an event is not within 64 bits")
    return SpanEvent(_text(event, "name"), time_ns, _attributes(event))


# --- structure: what is wrong here is wrong with the whole request ---------------------------


def _field(holder: dict[str, object], name: str) -> object:
    """Return a member by its camelCase name, or by the same name in snake_case."""
    value = holder.get(name)
    return holder.get(_in_snake_case(name)) if value is None else value


@cache
def _in_snake_case(name: str) -> str:
    """Turn a field's name around; only called with the names that stand in this file."""
    return _CAPITAL.sub(lambda capital: "_" + capital[0].lower(), name)


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidError(f"Not an OTLP request: {what} should be an object")
    return value


def _list(value: object, what: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidError(f"Not an OTLP request: {what} should be a list")
    return value


def _objects(holder: dict[str, object], name: str) -> list[dict[str, object]]:
    return [_object(item, f"an item of {name}") for item in _list(_field(holder, name), name)]


# --- values: what is wrong here is wrong with one span ---------------------------------------


def _span_list(holder: dict[str, object], name: str) -> list[object]:
    value = _field(holder, name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnusableSpanError(f"{name} is not a list")
    return value


def _text(holder: dict[str, object], name: str) -> str:
    value = _field(holder, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnusableSpanError(f"{name} is not a text")
    return value


def _id(holder: dict[str, object], name: str) -> bytes:
    text = _text(holder, name)
    try:
        return binascii.unhexlify(text)
    except ValueError:
        raise UnusableSpanError(f"{name} is not hexadecimal") from None


def _whole(value: object, what: str) -> int:
    """Return a whole number that was sent as a number or as a text; 0 when absent."""
    if value is None:
        return 0
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UnusableSpanError(f"{what} is not a whole number")


def _status_code(code: object) -> int:
    if isinstance(code, str) and code in _STATUS_NAMES:
        return _STATUS_NAMES[code]
    return code if isinstance(code, int) else 0


def _attributes(holder: dict[str, object]) -> dict[str, object]:
    return _entries(_span_list(holder, "attributes"), 0)


def _entries(entries: list[object], depth: int) -> dict[str, object]:
    """Return a list of ``{key, value}`` as an object; of equal keys the last wins."""
    plain: dict[str, object] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
            raise UnusableSpanError("an attribute is not {key, value}")
        key: str = entry["key"]
        plain[key] = _plain(entry.get("value"), depth)
    return plain


def _plain(holder: object, depth: int) -> object:
    """Return what an AnyValue holds as a value ready for JSON; None when nothing is set."""
    if holder is None:
        return None
    if not isinstance(holder, dict):
        raise UnusableSpanError("the value of an attribute is not an object")
    if depth > DEPTH_LIMIT:
        raise UnusableSpanError(f"an attribute nests deeper than {DEPTH_LIMIT}")
    for name, read in _READERS.items():
        value = _field(holder, name)
        if value is not None:
            return read(value, depth)
    return None


def _read_text(value: object, _depth: int) -> object:
    if not isinstance(value, str):
        raise UnusableSpanError("stringValue is not a text")
    return value


def _read_flag(value: object, _depth: int) -> object:
    if not isinstance(value, bool):
        raise UnusableSpanError("boolValue is neither true nor false")
    return value


def _read_whole(value: object, _depth: int) -> object:
    number = _whole(value, "intValue")
    if not _SMALLEST_INT <= number <= _LARGEST_INT:
        raise UnusableSpanError("intValue does not fit into 64 bits")
    return number


def _read_number(value: object, _depth: int) -> object:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return finite_or_text(float(value))
        except (ValueError, OverflowError):
            pass
    raise UnusableSpanError("doubleValue is not a number")


def _read_bytes(value: object, _depth: int) -> object:
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError:
        raw = None
    if raw is None:
        raise UnusableSpanError("bytesValue is not base64")
    return base64.b64encode(raw).decode()


def _read_list(value: object, depth: int) -> object:
    values = _span_list(value, "values") if isinstance(value, dict) else None
    if values is None:
        raise UnusableSpanError("arrayValue is not an object")
    return [_plain(item, depth + 1) for item in values]


def _read_entries(value: object, depth: int) -> object:
    if not isinstance(value, dict):
        raise UnusableSpanError("kvlistValue is not an object")
    return _entries(_span_list(value, "values"), depth + 1)


_READERS: Final[dict[str, Callable[[object, int], object]]] = {
    "stringValue": _read_text,
    "intValue": _read_whole,
    "boolValue": _read_flag,
    "doubleValue": _read_number,
    "arrayValue": _read_list,
    "kvlistValue": _read_entries,
    "bytesValue": _read_bytes,
}
