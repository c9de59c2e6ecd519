import base64
import copy
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bennu.kernel.errors import AppError, InvalidError, MalformedError, TooLargeError
from bennu.traces.ingest.otlp import decode_protobuf
from bennu.traces.ingest.otlp_json import decode_json
from bennu.traces.spans.model import DecodedExport, Span

SPAN: dict[str, Any] = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "eee19b7ec3c1b174",
    "parentSpanId": "eee19b7ec3c1b173",
    "name": "I'm a server span",
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": 1544712661000000000,
    "kind": 2,
    "status": {"code": 2, "message": "bad"},
    "attributes": [{"key": "openinference.span.kind", "value": {"stringValue": "LLM"}}],
    "events": [
        {
            "timeUnixNano": "1544712660500000000",
            "name": "e",
            "attributes": [{"key": "k", "value": {"intValue": "1"}}],
        }
    ],
    "unknownField": {"ignored": True},
}


def request_of(*spans: object, project: str | None = None) -> bytes:
    named = {"key": "openinference.project.name", "value": {"stringValue": project}}
    resource = {"attributes": [named] if project else []}
    return json.dumps(
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}
    ).encode()


def span_with(**changes: object) -> dict[str, Any]:
    return copy.deepcopy(SPAN) | changes


def decoded(**changes: object) -> Span:
    export = decode_json(request_of(span_with(**changes)), None)
    assert not export.rejected
    return export.projects[0].spans[0]


def rejection_of(**changes: object) -> str:
    export = decode_json(request_of(span_with(**changes), SPAN), None)
    assert (export.span_count, export.rejected_count) == (1, 1)
    return export.rejected[0].reason


def attribute(**value: object) -> Any:
    nested = json.loads(decoded(attributes=[{"key": "a", "value": value}]).attributes)
    return nested.get("a", "absent")


def test_a_span_in_json_is_decoded() -> None:
    export = decode_json(request_of(SPAN, project="p"), None)
    assert [p.project_name for p in export.projects] == ["p"]
    span = export.projects[0].spans[0]
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (span.span_id.hex(), span.parent_id) == (
        "eee19b7ec3c1b174",
        b"\xee\xe1\x9b~\xc3\xc1\xb1s",
    )
    assert (span.start_ns, span.end_ns) == (1544712660000000000, 1544712661000000000)
    assert (span.status_code, span.status_message, span.span_kind) == ("ERROR", "bad", "LLM")
    assert json.loads(span.events) == [
        {"name": "e", "timestamp": "2018-12-13T14:51:00.500000+00:00", "attributes": {"k": 1}}
    ]


def test_keys_in_snake_case_are_taken_as_well() -> None:
    snake = {
        "resource_spans": [
            {
                "scope_spans": [
                    {
                        "spans": [
                            {
                                "trace_id": SPAN["traceId"],
                                "span_id": SPAN["spanId"],
                                "start_time_unix_nano": "5",
                                "end_time_unix_nano": "6",
                                "attributes": [{"key": "a", "value": {"string_value": "b"}}],
                            }
                        ]
                    }
                ]
            }
        ]
    }
    span = decode_json(json.dumps(snake).encode(), "h").projects[0].spans[0]
    assert (span.name, span.start_ns, span.end_ns) == ("", 5, 6)
    assert span.attributes == b'{"a":"b"}'


def test_json_and_protobuf_of_one_request_decode_alike() -> None:
    ids = {"traceId": b"t" * 16, "spanId": b"s" * 8}
    values: list[dict[str, Any]] = [
        {"stringValue": ""},
        {"intValue": "-5"},
        {"doubleValue": 0.5},
        {"doubleValue": "NaN"},
        {"boolValue": False},
        {"bytesValue": "AP8="},
        {"arrayValue": {"values": [{"intValue": "1"}, {}]}},
        {"kvlistValue": {"values": [{"key": "x", "value": {"stringValue": "y"}}]}},
        {},
    ]
    attributes = [{"key": f"k{at}", "value": value} for at, value in enumerate(values)]
    span = span_with(attributes=attributes)
    del span["unknownField"], span["parentSpanId"]
    as_hex = span | {name: raw.hex() for name, raw in ids.items()}
    as_base64 = span | {name: base64.b64encode(raw).decode() for name, raw in ids.items()}
    message = ParseDict(json.loads(request_of(as_base64)), ExportTraceServiceRequest())
    assert MessageToDict(message)
    assert decode_json(request_of(as_hex), None) == decode_protobuf(
        message.SerializeToString(), None
    )


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"intValue": 3.0}, 3),
        ({"intValue": "9223372036854775807"}, 2**63 - 1),
        ({"doubleValue": "1.5"}, 1.5),
        ({"doubleValue": 2}, 2.0),
        ({"doubleValue": "-Infinity"}, "-Infinity"),
        ({"boolValue": True}, True),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": None}}, {}),
        ({"somethingNew": 1}, "absent"),
        ({"stringValue": None}, "absent"),
    ],
)
def test_values_are_read_as_the_protocol_writes_them(value: dict[str, Any], kept: object) -> None:
    assert attribute(**value) == kept


@pytest.mark.parametrize(
    "value",
    [
        {"stringValue": 1},
        {"intValue": "x"},
        {"intValue": True},
        {"intValue": "9223372036854775808"},
        {"doubleValue": "many"},
        {"doubleValue": True},
        {"doubleValue": 10**400},
        {"boolValue": 1},
        {"bytesValue": "!"},
        {"bytesValue": 1},
        {"arrayValue": []},
        {"arrayValue": {"values": 1}},
        {"kvlistValue": 1},
        {"kvlistValue": {"values": [1]}},
        "text",
    ],
)
def test_a_span_with_a_value_of_the_wrong_type_is_rejected(value: object) -> None:
    reason = rejection_of(attributes=[{"key": "a", "value": value}])
    assert reason.startswith('span "I\'m a server span" (eee19b7ec3c1b174): ')


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"traceId": "xyz"}, "traceId is not hexadecimal"),
        ({"traceId": None}, "trace id is not 16 bytes"),
        ({"spanId": 5}, "spanId is not a text"),
        ({"spanId": "0" * 16}, "span id is not 8 bytes, or all zero"),
        ({"name": 5}, "name is not a text"),
        ({"startTimeUnixNano": "soon"}, "startTimeUnixNano is not a whole number"),
        ({"startTimeUnixNano": 1.5}, "startTimeUnixNano is not a whole number"),
        ({"endTimeUnixNano": "9223372036854775808"}, "64-bit"),
        ({"endTimeUnixNano": -1}, "64-bit"),
        ({"attributes": {}}, "attributes is not a list"),
        ({"attributes": [{"value": {}}]}, "an attribute is not {key, value}"),
        ({"events": 1}, "events is not a list"),
        ({"events": [1]}, "an event is not an object"),
        ({"events": [{"timeUnixNano": "18446744073709551616"}]}, "not within 64 bits"),
    ],
)
def test_a_span_that_cannot_be_used_is_told(changes: dict[str, Any], error: str) -> None:
    assert error in rejection_of(**changes)


def test_something_else_in_the_place_of_a_span_is_told() -> None:
    export = decode_json(request_of(5, SPAN), None)
    assert export.rejected[0].reason == "span '' (no id): is not an object"
    assert export.span_count == 1


def test_values_nested_too_deep_are_told() -> None:
    value: dict[str, Any] = {"intValue": 1}
    for _ in range(66):
        value = {"arrayValue": {"values": [value]}}
    assert "nests deeper than 64" in rejection_of(attributes=[{"key": "a", "value": value}])


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, "UNSET"), (1, "OK"), ("STATUS_CODE_ERROR", "ERROR"), ("new", "UNSET"), (7, "UNSET")],
)
def test_status_is_a_number_or_a_name(code: object, status: str) -> None:
    assert decoded(status={"code": code}).status_code == status


def test_a_status_of_another_shape_is_unset() -> None:
    assert decoded(status="bad").status_code == "UNSET"


def test_a_project_name_too_long_is_told() -> None:
    export = decode_json(request_of(SPAN, SPAN, project="p" * 2_001), None)
    assert (export.span_count, export.rejected_count) == (0, 2)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":"\xff"}', b"[" * 100_000, b"{} {}"])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError, match="not valid JSON"):
        decode_json(body, None)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"text"',
        b'{"resourceSpans": {}}',
        b'{"resourceSpans": [1]}',
        b'{"resourceSpans": [{"scopeSpans": 1}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}',
        b'{"resourceSpans": [{"resource": 1}]}',
    ],
)
def test_json_of_another_shape_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidError, match="Not an OTLP request") as refusal:
        decode_json(body, None)
    assert not isinstance(refusal.value, MalformedError)


def test_an_attribute_without_a_value_is_skipped() -> None:
    span = decoded(attributes=[{"key": "a", "value": None}, {"key": "b"}])
    assert span.attributes == b"{}"


def test_an_empty_request_holds_nothing() -> None:
    for body in (b"{}", b'{"resourceSpans": null}', b'{"resourceSpans": [{}]}'):
        assert decode_json(body, None) == DecodedExport((), (), 0)


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=9),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["key", "value", "values", "stringValue", "kvlistValue", "code"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=9,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SPAN, JSON_VALUES)))
def test_any_json_in_a_span_is_decoded_or_rejected(changes: dict[str, Any]) -> None:
    export = decode_json(request_of(span_with(**changes)), None)
    assert export.span_count + export.rejected_count == 1


@given(st.dictionaries(st.sampled_from(["resourceSpans", "resource_spans", "x"]), JSON_VALUES))
def test_any_json_is_decoded_or_refused(request: dict[str, Any]) -> None:
    try:
        export = decode_json(json.dumps(request).encode(), None)
    except AppError:
        return
    assert export.span_count == 0


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    try:
        export = decode_json(body, None)
    except AppError:
        return
    assert export.span_count == 0


def test_very_many_spans_or_objects_are_refused() -> None:
    for resources, text in (
        ([{"scopeSpans": [{"spans": [None] * 50_001}]}], "more than 50000 spans"),
        ([{}] * 50_001, "more than 50000 spans"),
        ([{"scopeSpans": [{"spans": [{}] * 1_000_000}]}], "more than 1000000 objects"),
    ):
        with pytest.raises(TooLargeError, match=text):
            decode_json(json.dumps({"resourceSpans": resources}).encode(), None)
