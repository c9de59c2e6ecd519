import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bennu.kernel.errors import InvalidError, TooLargeError
from bennu.traces.ingest.otlp_slices import (
    MOST_PARTS,
    RESOURCE_FIELDS,
    SPAN_FIELDS,
    holds_too_many_parts,
    slices_of,
)
from bennu.traces.spans.model import MOST_SPANS_PER_REQUEST


def field(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size >= 0x80:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


requests = st.lists(st.lists(st.lists(st.text(max_size=200), max_size=4), max_size=3), max_size=3)


@given(requests)
def test_spans_are_found_where_the_library_finds_them(resources: list[list[list[str]]]) -> None:
    request = ExportTraceServiceRequest()
    for scopes in resources:
        resource_spans = request.resource_spans.add(schema_url="s")
        resource_spans.resource.attributes.add(key="a" * 200).value.int_value = 5
        for names in scopes:
            scope_spans = resource_spans.scope_spans.add(schema_url="s")
            scope_spans.scope.name = "scope"
            for name in names:
                scope_spans.spans.add(name=name, start_time_unix_nano=1, flags=3, kind=2)
    body = request.SerializeToString()
    found = [
        [Span.FromString(body[start:end]) for start, end in slices.spans]
        for slices in slices_of(body)
    ]
    assert found == [
        [span for scope in resource.scope_spans for span in scope.spans]
        for resource in request.resource_spans
    ]
    assert all(len(slices.resource) == 1 for slices in slices_of(body))


def test_a_resource_may_stand_behind_its_spans_and_in_pieces() -> None:
    body = field(1, field(1, b"\x10\x00") + field(2, field(2, b"\x08\x01")) + field(1, b"\x10\x01"))
    (slices,) = slices_of(body)
    assert [body[start:end] for start, end in slices.resource] == [b"\x10\x00", b"\x10\x01"]
    assert [body[start:end] for start, end in slices.spans] == [b"\x08\x01"]


def test_fields_of_other_numbers_and_types_are_passed_over() -> None:
    others = b"\x50\xff\x01" + b"\x59" + bytes(8) + b"\x5d" + bytes(4) + field(15, b"xyz")
    body = others + field(1, others + field(2, others + field(2, b"") + others) + others)
    (slices,) = slices_of(body)
    assert len(slices.spans) == 1


@pytest.mark.parametrize(
    "body",
    [
        field(1, b"") * (MOST_SPANS_PER_REQUEST + 1),
        field(1, field(1, b"") * (MOST_SPANS_PER_REQUEST + 1)),
        field(1, field(2, b"") * (MOST_SPANS_PER_REQUEST + 1)),
        field(1, field(2, field(2, b"") * (MOST_SPANS_PER_REQUEST + 1))),
        field(1, field(2, field(2, b""))) * (MOST_SPANS_PER_REQUEST // 3 + 1),
    ],
    ids=["resources", "pieces of a resource", "scopes", "spans", "all together"],
)
def test_more_spans_than_a_request_may_have_are_refused(body: bytes) -> None:
    with pytest.raises(TooLargeError, match="more than 50000 spans"):
        slices_of(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x05\x0a",  # a length beyond the end
        b"\x0a",  # no length
        b"\x0b",  # a group
        b"\x0f\x00",  # no wire type
        b"\x09\x00",  # a number that ends too early
        b"\x08\xff",
        b"\x0a" + b"\xff" * 10 + b"\x01",  # more than 64 bits
    ],
)
def test_what_is_no_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidError, match="not a valid OTLP protobuf"):
        slices_of(body)


@given(st.binary(max_size=300))
def test_any_bytes_are_cut_within_their_bounds_or_refused(body: bytes) -> None:
    try:
        found = slices_of(body)
    except InvalidError:
        return
    for slices in found:
        for start, end in (*slices.resource, *slices.spans):
            assert 0 < start <= end <= len(body)


@pytest.mark.parametrize(
    "part",
    [
        field(9, b""),
        field(11, b""),
        field(13, b""),
        field(15, b""),
        field(9, field(2, field(5, field(1, b"") * 1_000))),
        field(9, field(2, field(6, field(1, b"") * 1_000))),
    ],
    ids=["attributes", "events", "links", "statuses", "a list", "an object"],
)
def test_a_span_of_very_many_parts_is_seen(part: bytes) -> None:
    body = part * (300_000 // len(part) + (MOST_PARTS if len(part) < 10 else 100))
    assert holds_too_many_parts(body, (0, len(body)), SPAN_FIELDS)


def test_a_resource_of_very_many_attributes_is_seen() -> None:
    body = field(1, b"\x0a\x01k") * (MOST_PARTS + 1)
    assert holds_too_many_parts(body, (0, len(body)), RESOURCE_FIELDS)


def test_long_texts_are_not_many_parts() -> None:
    text = field(9, field(1, b"key") + field(2, field(1, b"x" * 1_000_000)))
    assert not holds_too_many_parts(text * 20, (0, len(text) * 20), SPAN_FIELDS)
    dense = field(9, b"") * 1_000
    assert not holds_too_many_parts(dense, (0, len(dense)), SPAN_FIELDS)
