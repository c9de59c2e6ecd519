"""Decoding of real requests, of payloads made by the OpenTelemetry SDK, and of rubbish."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtobufSpan
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from bennu.kernel.errors import AppError, InvalidError, TooLargeError, UnsupportedMediaError
from bennu.traces.ingest.decompress import decompress_body
from bennu.traces.ingest.otlp import decode_export, decode_protobuf
from bennu.traces.spans.model import DecodedExport, Span
from bennu.traces.spans.span_json import StoredSpan, span_to_json

FIXTURES = Path(__file__).parents[2] / "fixtures" / "otlp"
LIMIT_BYTES = 1_000_000


def recorded(name: str) -> DecodedExport:
    """Decode a request that an official exporter sent."""
    request = json.loads((FIXTURES / f"{name}.json").read_text())
    body = base64.b64decode(request["body_base64"])
    body = decompress_body(body, request["content_encoding"], LIMIT_BYTES)
    return decode_export(body, request["content_type"], request["project_header"])


def read_back(span: Span) -> dict[str, Any]:
    fields = {
        name: getattr(span, name) for name in StoredSpan.__struct_fields__ if name != "row_id"
    }
    return span_to_json(StoredSpan(row_id=1, **fields), "")


def request_of(**span: Any) -> bytes:
    """Return a request with one span, good unless the arguments spoil it."""
    request = ExportTraceServiceRequest()
    good = {"trace_id": b"t" * 16, "span_id": b"s" * 8, "name": "n"}
    message = ProtobufSpan(**{**good, **span})
    request.resource_spans.add().scope_spans.add().spans.append(message)
    return bytes(request.SerializeToString())


def attributes_of(*values: tuple[str, AnyValue]) -> dict[str, Any]:
    """Return the nested attributes of a span that was sent with these."""
    pairs = [{"key": key, "value": value} for key, value in values]
    nested: dict[str, Any] = json.loads(
        decode_protobuf(request_of(attributes=pairs), None).projects[0].spans[0].attributes
    )
    return nested


@pytest.mark.parametrize(
    ("name", "project", "count"),
    [
        ("http_identity", "demo", 4),
        ("http_gzip", "demo", 4),
        ("http_deflate", "demo", 4),
        ("http_project_header", "via-header", 4),
        ("http_javascript", "jsotel", 1),
    ],
)
def test_recorded_requests_go_to_their_project(name: str, project: str, count: int) -> None:
    export = recorded(name)
    assert [p.project_name for p in export.projects] == [project]
    assert (export.span_count, export.rejected) == (count, ())


def test_recorded_spans_read_back_as_the_reference_showed_them() -> None:
    over_grpc = ParseDict(
        json.loads((FIXTURES / "grpc.json").read_text()), ExportTraceServiceRequest()
    )
    exports = (decode_protobuf(over_grpc.SerializeToString(), None), recorded("http_identity"))
    decoded = {
        span.span_id.hex(): read_back(span)
        for export in exports
        for span in export.projects[0].spans
    }
    expected = json.loads((FIXTURES / "spans_read_back.json").read_text())
    assert len(expected) == 5
    for span in expected:
        # The reference rounds through a float; we cut, so up to a microsecond lies between.
        ours = _without_microseconds(decoded[span["context"]["span_id"]])
        assert ours == _without_microseconds(span)


def _without_microseconds(span: dict[str, Any]) -> dict[str, Any]:
    events = [{**event, "timestamp": event["timestamp"][:23]} for event in span["events"]]
    times = {name: span[name][:23] for name in ("start_time", "end_time")}
    return {**span, **times, "events": events, "id": ""}


def test_recorded_spans_carry_session_tokens_status_and_parent() -> None:
    spans = {span.name: span for span in recorded("http_identity").projects[0].spans}
    assert spans["root"].session_id == "sess-1"
    assert (spans["root"].prompt_tokens, spans["root"].parent_id) == (None, None)
    assert (spans["llm"].prompt_tokens, spans["llm"].completion_tokens) == (10, 5)
    assert spans["llm"].parent_id == spans["root"].span_id
    assert (spans["tool"].status_code, spans["tool"].span_kind) == ("ERROR", "TOOL")
    assert spans["tool"].status_message == "ValueError: boom"


def test_spans_of_the_real_sdk_are_decoded() -> None:
    exporter = InMemorySpanExporter()
    resource = Resource({"openinference.project.name": "sdk", "service.name": "s"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span("outer") as outer:
        outer.set_attributes({"tags": ["a", "b"], "score": 0.5, "raw": b"\x00\xff", "yes": True})
        outer.set_status(Status(StatusCode.ERROR, "bad"))
        with tracer.start_as_current_span("inner"):
            pass
    provider.shutdown()
    body = encode_spans(exporter.get_finished_spans()).SerializeToString()
    export = decode_protobuf(body, None)
    inner, outer_read = export.projects[0].spans
    assert export.projects[0].project_name == "sdk"
    assert inner.parent_id == outer_read.span_id
    assert (outer_read.status_code, outer_read.status_message) == ("ERROR", "bad")
    assert outer_read.end_ns >= outer_read.start_ns > 10**18
    attributes = json.loads(outer_read.attributes)
    assert attributes == {"tags": ["a", "b"], "score": 0.5, "raw": "AP8=", "yes": True}


def test_every_kind_of_value_is_kept() -> None:
    nested = AnyValue()
    nested.kvlist_value.values.add(key="x.y").value.bytes_value = b"\x01"
    nested.kvlist_value.values.add(key="none")
    array = AnyValue()
    array.array_value.values.add().double_value = math.nan
    array.array_value.values.add()
    assert attributes_of(
        ("empty", AnyValue(string_value="")),
        ("zero", AnyValue(int_value=0)),
        ("no", AnyValue(bool_value=False)),
        ("half", AnyValue(double_value=0.5)),
        ("up", AnyValue(double_value=math.inf)),
        ("down", AnyValue(double_value=-math.inf)),
        ("n", nested),
        ("list", array),
        ("unset", AnyValue()),
        ("n.c", AnyValue(int_value=-1)),
    ) == {
        "empty": "",
        "zero": 0,
        "no": False,
        "half": 0.5,
        "up": "Infinity",
        "down": "-Infinity",
        "n": {"x.y": "AQ==", "none": None},
        "list": ["NaN", None],
        "n.c": -1,
    }


def two_resources() -> bytes:
    request = ExportTraceServiceRequest()
    for number, project in enumerate(("a", None, " ", "a")):
        resource_spans = request.resource_spans.add()
        if project is not None:
            attribute = resource_spans.resource.attributes.add(key="openinference.project.name")
            attribute.value.string_value = project
        resource_spans.scope_spans.add().spans.add(
            trace_id=b"t" * 16, span_id=bytes([number + 1]) * 8, name=str(number)
        )
    return bytes(request.SerializeToString())


def test_the_project_comes_from_header_resource_or_default() -> None:
    def names(header: str | None) -> dict[str, list[str]]:
        export = decode_protobuf(two_resources(), header)
        return {p.project_name: [span.name for span in p.spans] for p in export.projects}

    assert names(None) == {"a": ["0", "3"], "default": ["1", "2"]}
    assert names("  ") == {"a": ["0", "3"], "default": ["1", "2"]}
    assert names("h") == {"h": ["0", "1", "2", "3"]}


def test_a_project_name_that_is_no_text_counts_as_absent() -> None:
    request = ExportTraceServiceRequest.FromString(request_of())
    attribute = request.resource_spans[0].resource.attributes.add(key="openinference.project.name")
    attribute.value.int_value = 3
    export = decode_protobuf(request.SerializeToString(), None)
    assert export.projects[0].project_name == "default"


def test_a_project_name_too_long_is_told() -> None:
    with pytest.raises(InvalidError, match="x-project-name is longer"):
        decode_protobuf(request_of(), "p" * 2_001)
    request = ExportTraceServiceRequest.FromString(request_of())
    attribute = request.resource_spans[0].resource.attributes.add(key="openinference.project.name")
    attribute.value.string_value = "p" * 2_001
    export = decode_protobuf(request.SerializeToString(), None)
    assert (export.span_count, export.rejected_count) == (0, 1)
    assert "openinference.project.name is longer" in export.rejected[0].reason


def test_an_unusable_span_does_not_spoil_the_others() -> None:
    request = ExportTraceServiceRequest.FromString(request_of())
    spans = request.resource_spans[0].scope_spans[0].spans
    spans.add(trace_id=b"short", span_id=b"x" * 8, name="broken")
    export = decode_protobuf(request.SerializeToString(), None)
    assert export.span_count == 1
    reason = "span 'broken' (7878787878787878): trace id is not 16 bytes, or all zero"
    assert [(r.reason, r.count) for r in export.rejected] == [(reason, 1)]


def test_content_types_choose_the_decoder() -> None:
    for content_type in ("application/x-protobuf", "Application/X-Protobuf; charset=utf-8"):
        assert decode_export(request_of(), content_type, None).span_count == 1
    for content_type in ("application/json", "application/json;charset=UTF-8"):
        assert decode_export(b"{}", content_type, None).span_count == 0
    for content_type in ("", "text/plain", "application/protobuf", "application/jsonl"):
        with pytest.raises(UnsupportedMediaError):
            decode_export(b"", content_type, None)


def test_an_empty_body_holds_nothing() -> None:
    assert decode_protobuf(b"", None) == DecodedExport((), (), 0)


def test_a_broken_body_is_refused() -> None:
    for broken in (b"nonsense", request_of()[:-3], b"\x0a\xff\xff\xff\xff\x0f"):
        with pytest.raises(InvalidError, match="not a valid OTLP protobuf"):
            decode_protobuf(broken, None)


def test_a_large_request_is_decoded_span_by_span_to_the_same() -> None:
    padding = b"\x7a" + bytes([0x80, 0x80, 0x40]) + bytes(1_048_576)  # a field that nobody knows
    for body in (two_resources(), request_of(trace_id=b"short"), request_of()):
        assert decode_protobuf(body + padding, None) == decode_protobuf(body, None)
    for broken in (request_of()[:-3], request_of(name="zzzz").replace(b"zzzz", b"\xff\xfezz")):
        with pytest.raises(InvalidError, match="not a valid OTLP protobuf"):
            decode_protobuf(padding + broken, None)


@pytest.mark.parametrize("count", [60_000, 1_000_000])
def test_very_many_empty_spans_are_refused(count: int) -> None:
    spans = _long_field(2, b"\x12\x00" * count)
    with pytest.raises(TooLargeError, match="more than 50000 spans"):
        decode_protobuf(_long_field(1, spans), None)


def test_a_span_of_very_many_attributes_does_not_spoil_the_others() -> None:
    crowded = _long_field(2, _long_field(2, b"\x4a\x00" * 1_000_000))
    export = decode_protobuf(request_of() + _long_field(1, crowded), None)
    assert export.span_count == 1
    (rejection,) = export.rejected
    assert "more than 100000 attributes" in rejection.reason


def _long_field(number: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80])
    return bytes([number << 3 | 2]) + length + bytes([size >> 21]) + content


def test_text_that_is_not_utf_8_is_refused() -> None:
    body = request_of(name="zzzz").replace(b"zzzz", b"\xff\xfezz")
    with pytest.raises(InvalidError):
        decode_protobuf(body, None)


def test_values_nested_beyond_protobufs_bound_are_refused() -> None:
    shallow, deep = _value_of_depth(20), _value_of_depth(200)
    for value, is_read in ((shallow, True), (deep, False)):
        attribute = _field(1, b"key") + _field(2, value)
        span = _field(1, b"t" * 16) + _field(2, b"s" * 8) + _field(9, attribute)
        body = _field(1, _field(2, _field(2, span)))
        if is_read:
            assert decode_protobuf(body, None).span_count == 1
        else:
            with pytest.raises(InvalidError, match="not a valid OTLP protobuf"):
                decode_protobuf(body, None)


def _field(number: int, content: bytes) -> bytes:
    """Write one field by hand: the library refuses to make what it refuses to read."""
    size = len(content)
    return bytes([number << 3 | 2, size & 0x7F | 0x80, size >> 7]) + content


def _value_of_depth(depth: int) -> bytes:
    value = bytes(AnyValue(int_value=1).SerializeToString())
    for _ in range(depth):
        value = _field(5, _field(1, value))
    return value


@pytest.mark.asvs("1.5.2")
@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    try:
        export = decode_protobuf(body, None)
    except AppError:
        return
    assert export.span_count >= 0


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_request_is_decoded_or_refused(position: int, byte: int) -> None:
    body = bytearray(two_resources())
    body[position % len(body)] = byte
    try:
        export = decode_protobuf(bytes(body), None)
    except AppError:
        return
    for project in export.projects:
        for span in project.spans:
            json.loads(span.attributes)
