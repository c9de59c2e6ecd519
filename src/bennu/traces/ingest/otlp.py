"""OTLP export requests, decoded: protobuf here, JSON in ``otlp_json``.

Bytes attributes are kept as base64 text. Numbers that JSON cannot hold are kept as the texts
"NaN", "Infinity" and "-Infinity". Links, trace state, flags, OpenTelemetry's kind, scope and
resource attributes (but for the project's name) are not kept.

Source: OpenTelemetry protocol 1.x; contract/data-plane.md sections 2 and 3.
"""

import base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ProtobufResource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtobufSpan

from bennu.kernel.errors import InvalidError, UnsupportedMediaError
from bennu.traces.ingest.assemble import (
    PROJECT_NAME_KEY,
    ExportAssembly,
    RawSpan,
    assemble_span,
    finite_or_text,
)
from bennu.traces.ingest.otlp_json import decode_json
from bennu.traces.ingest.otlp_slices import (
    MOST_PARTS,
    NOT_PROTOBUF,
    RESOURCE_FIELDS,
    SPAN_FIELDS,
    Range,
    holds_too_many_parts,
    refuse_more_spans,
    slices_of,
)
from bennu.traces.spans.events import SpanEvent
from bennu.traces.spans.model import DecodedExport, UnusableSpanError

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
#: A request up to this size takes some ninety megabytes at the worst.
_SMALL_BYTES: Final = 1024 * 1024
_TOO_MANY_PARTS: Final = f"holds more than {MOST_PARTS} attributes and values"


def decode_export(body: bytes, content_type: str, header_project: str | None) -> DecodedExport:
    """Decode an export request as its content type says.

    Args:
        body: decompressed.
        content_type: the header's value; parameters such as ``charset`` do not matter.
        header_project: value of ``x-project-name``, None when absent; blank counts as absent.

    Raises:
        UnsupportedMediaError: another content type.
        InvalidError: not a protobuf of that shape, JSON of another shape, a header too long.
        MalformedError: not JSON at all.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == PROTOBUF:
        return decode_protobuf(body, header_project)
    if media_type == JSON:
        return decode_json(body, header_project)
    raise UnsupportedMediaError(f"Unsupported content type; allowed are {PROTOBUF} and {JSON}")


def decode_protobuf(body: bytes, header_project: str | None) -> DecodedExport:
    """Decode an ``ExportTraceServiceRequest`` in protobuf.

    The protobuf library refuses messages that nest deeper than 100, some 30 levels of values.

    Raises:
        InvalidError: the body is no such message, or ``header_project`` is too long.
        TooLargeError: it holds more than 50,000 spans.
    """
    assembly = ExportAssembly(header_project)
    resources = _decoded_at_once(body) if len(body) <= _SMALL_BYTES else _decoded_singly(body)
    try:
        for resource in resources:
            _take_resource(resource, assembly)
    except DecodeError as error:
        raise InvalidError(NOT_PROTOBUF, detail=str(error)) from None
    return assembly.finish()


class _Resource(NamedTuple):
    """One resource of a request.

    Args:
        described: itself; in more than one piece if it was written so.
        span_count: how many spans it has.
        spans: one after the other; None for one that holds too much.
    """

    described: Iterable[ProtobufResource]
    span_count: int
    spans: Iterable[ProtobufSpan | None]


def _decoded_at_once(body: bytes) -> Iterator[_Resource]:
    """Decode the whole request; the quickest way for what cannot take much memory."""
    request = ExportTraceServiceRequest.FromString(body)
    seen = len(request.resource_spans)
    refuse_more_spans(seen)
    for resource_spans in request.resource_spans:
        scopes = resource_spans.scope_spans
        refuse_more_spans(seen + len(scopes))
        count = sum(len(scope.spans) for scope in scopes)
        seen += len(scopes) + count
        refuse_more_spans(seen)
        spans = (span for scope in scopes for span in scope.spans)
        yield _Resource((resource_spans.resource,), count, spans)


def _decoded_singly(body: bytes) -> Iterator[_Resource]:
    """Decode span by span, so that no more than one of them takes memory in its decoded form."""
    for pieces, ranges in slices_of(body):
        described = (_resource(body, piece) for piece in pieces)
        yield _Resource(described, len(ranges), (_span(body, within) for within in ranges))


def _resource(body: bytes, within: Range) -> ProtobufResource:
    if holds_too_many_parts(body, within, RESOURCE_FIELDS):
        raise UnusableSpanError(f"resource: {_TOO_MANY_PARTS}")
    resource: ProtobufResource = ProtobufResource.FromString(body[slice(*within)])
    return resource


def _span(body: bytes, within: Range) -> ProtobufSpan | None:
    if holds_too_many_parts(body, within, SPAN_FIELDS):
        return None
    span: ProtobufSpan = ProtobufSpan.FromString(body[slice(*within)])
    return span


def _take_resource(resource: _Resource, assembly: ExportAssembly) -> None:
    project: object = None
    try:
        for described in resource.described:
            for attribute in described.attributes:
                if attribute.key == PROJECT_NAME_KEY:
                    project = _plain(attribute.value)
        spans = assembly.spans_of(project)
    except UnusableSpanError as error:
        assembly.reject(str(error), resource.span_count)
        return
    for span in resource.spans:
        if span is None:
            assembly.reject(f"a span {_TOO_MANY_PARTS}", 1)
            continue
        try:
            spans.append(assemble_span(_raw_span(span)))
        except UnusableSpanError as error:
            assembly.reject_span(span.name, span.span_id, error)


def _raw_span(span: ProtobufSpan) -> RawSpan:
    keys: list[str] = []
    values: list[object] = []
    for attribute in span.attributes:
        holder = attribute.value
        # Most values are texts, and asking for the text is cheaper than asking what is set.
        value: object = holder.string_value or _plain(holder)
        if value is not None:
            keys.append(attribute.key)
            values.append(value)
    status = span.status
    return RawSpan(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        status.code,
        status.message,
        tuple(keys),
        values,
        [
            SpanEvent(
                event.name,
                event.time_unix_nano,
                {attribute.key: _plain(attribute.value) for attribute in event.attributes},
            )
            for event in span.events
        ],
    )


def _plain(holder: AnyValue) -> object:
    """Return what an AnyValue holds as a value ready for JSON; None when nothing is set."""
    which = holder.WhichOneof("value")
    if which is None:
        return None
    value = getattr(holder, which)
    convert = _CONVERSIONS.get(which)
    return value if convert is None else convert(value)


#: Members of an AnyValue that JSON does not hold as they are.
_CONVERSIONS: Final[dict[str, Callable[[Any], object]]] = {
    "double_value": finite_or_text,
    "bytes_value": lambda raw: base64.b64encode(raw).decode(),
    "array_value": lambda array: [_plain(value) for value in array.values],
    "kvlist_value": lambda entries: {entry.key: _plain(entry.value) for entry in entries.values},
}
