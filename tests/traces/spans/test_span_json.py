import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.errors import AppError, SchemaError
from bennu.traces.spans.model import Span
from bennu.traces.spans.span_json import (
    StoredSpan,
    span_to_json,
    spans_from_json,
)

POSTED: dict[str, Any] = {
    "id": "ignored",
    "name": "posted",
    "context": {"trace_id": "a" * 32, "span_id": "b" * 16, "traceId": "ignored"},
    "span_kind": "llm",
    "parent_id": "c" * 16,
    "start_time": "2026-11-23T22:01:54.626501+00:00",
    "end_time": "2026-11-23T23:01:55.000000123+01:00",
    "status_code": "ok",
    "status_message": "fine",
    "attributes": {"session.id": "s", "llm": {"token_count": {"prompt": 3}}, "docs.0.c": 1},
    "events": [{"name": "e", "timestamp": "2026-11-23T22:01:54Z", "attributes": {"z": 1}}],
}


def posted(**changes: object) -> dict[str, Any]:
    return copy.deepcopy(POSTED) | changes


def the_span(item: dict[str, Any]) -> Span:
    spans, invalid = spans_from_json([item])
    assert not invalid
    return spans[0]


def read_back(span: Span) -> dict[str, Any]:
    fields = {
        name: getattr(span, name) for name in StoredSpan.__struct_fields__ if name != "row_id"
    }
    return span_to_json(StoredSpan(row_id=1, **fields), "U3Bhbjox")


def test_a_posted_span_becomes_what_is_stored() -> None:
    span = the_span(posted())
    assert span.trace_id == bytes.fromhex("a" * 32)
    assert span.span_id == bytes.fromhex("b" * 16)
    assert span.parent_id == bytes.fromhex("c" * 16)
    assert (span.span_kind, span.status_code, span.session_id) == ("LLM", "OK", "s")
    assert (span.prompt_tokens, span.completion_tokens) == (3, 0)
    assert span.end_ns - span.start_ns == 373_499_123
    assert json.loads(span.attributes)["docs"] == [{"c": 1}]


def test_a_posted_span_reads_back_as_it_was_sent() -> None:
    assert read_back(the_span(posted())) == {
        "id": "U3Bhbjox",
        "name": "posted",
        "context": {"trace_id": "a" * 32, "span_id": "b" * 16},
        "span_kind": "llm",
        "parent_id": "c" * 16,
        "start_time": "2026-11-23T22:01:54.626501+00:00",
        "end_time": "2026-11-23T22:01:55+00:00",
        "status_code": "OK",
        "status_message": "fine",
        "attributes": {"session.id": "s", "llm.token_count.prompt": 3, "docs.0.c": 1},
        "events": [{"name": "e", "timestamp": "2026-11-23T22:01:54+00:00", "attributes": {"z": 1}}],
    }


def test_what_is_optional_may_be_missing_or_null() -> None:
    optional = ("id", "parent_id", "status_message", "attributes", "events")
    without = {key: value for key, value in posted().items() if key not in optional}
    assert the_span(without) == the_span(without | dict.fromkeys(optional))
    read = read_back(the_span(without))
    assert (read["parent_id"], read["attributes"], read["events"]) == (None, {}, [])


def test_the_kind_is_unknown_where_no_text_was_stored() -> None:
    span = the_span(posted())
    for attributes in (b"{}", b'{"openinference":{"span":{"kind":3}}}'):
        stored = StoredSpan(
            1, span.trace_id, span.span_id, None, "", 0, 0, "UNSET", "", attributes, b"[]"
        )
        shown = span_to_json(stored, "x")
        assert (shown["span_kind"], shown["attributes"]) == ("UNKNOWN", {})


def test_the_kind_of_the_field_wins_over_the_attribute() -> None:
    span = the_span(posted(attributes={"openinference": {"span": {"kind": "TOOL"}}}))
    assert span.span_kind == "LLM"


def problems_of(*items: object) -> list[tuple[tuple[str | int, ...], str, str]]:
    with pytest.raises(SchemaError) as refusal:
        spans_from_json(items)
    return [(problem.loc, problem.kind, problem.msg) for problem in refusal.value.problems]


NAIVE_TIME = (
    "timezone-naive timestamp is not allowed; "
    "all timestamps must be timezone-aware (e.g., use UTC)."
)


def test_a_time_without_a_zone_is_refused_by_name() -> None:
    item = posted(start_time="2024-01-01T00:00:00")
    assert problems_of(posted(), item) == [
        (
            ("body", "data", 1),
            "value_error",
            f"Value error, start_time: {NAIVE_TIME}",
        )
    ]
    item = posted(events=[{"name": "e", "timestamp": "2024-01-01T00:00:00"}])
    assert "events.0.timestamp: timezone-naive" in problems_of(item)[0][2]


@pytest.mark.parametrize(
    "time", ["soon", "", "1969-12-31T23:59:59Z", "1677-09-22T00:00:00Z", "2300-01-01T00:00:00Z"]
)
def test_what_is_no_storable_time_is_refused(time: str) -> None:
    (loc, _, message) = problems_of(posted(end_time=time))[0]
    assert loc == ("body", "data", 0, "end_time")
    assert "between the years 1970 and 2262" in message
    (loc, _, _) = problems_of(posted(events=[{"name": "e", "timestamp": time}]))[0]
    assert loc == ("body", "data", 0, "events", 0, "timestamp")


def test_missing_and_wrong_fields_are_named_with_their_place() -> None:
    nameless = posted()
    del nameless["name"]
    no_span_id = posted(context={"trace_id": "a" * 32})
    bad_event = posted(events=[{"name": 3, "timestamp": "2026-11-23T22:01:54Z"}])
    found = problems_of(nameless, no_span_id, bad_event, "x", posted(status_code="BAD"))
    assert [(loc, kind) for loc, kind, _ in found] == [
        (("body", "data", 0, "name"), "missing"),
        (("body", "data", 1, "context", "span_id"), "missing"),
        (("body", "data", 2, "events", 0, "name"), "value_error"),
        (("body", "data", 3), "value_error"),
        (("body", "data", 4, "status_code"), "value_error"),
    ]


def test_problems_are_bounded() -> None:
    assert len(problems_of(*["x"] * 500)) == 100
    ((loc, _, message),) = problems_of(*["x"] * 50_001)
    assert loc == ("body", "data")
    assert "at most 50000 items" in message


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"context": {"trace_id": "zz", "span_id": "b" * 16}}, "trace_id should be 32"),
        ({"context": {"trace_id": "a" * 32, "span_id": "0" * 16}}, "span_id should be 16"),
        ({"parent_id": "b" * 15}, "parent_id should be 16"),
        ({"name": "n" * 2_001}, "name is longer"),
        ({"attributes": {"session.id": "s" * 2_001}}, "session.id is longer"),
        ({"attributes": {"a." * 70 + "b": 1}}, "more than 64 segments"),
    ],
)
def test_spans_that_cannot_be_stored_are_told_apart(changes: dict[str, Any], error: str) -> None:
    item = posted(**changes)
    spans, invalid = spans_from_json([posted(), item])
    assert len(spans) == 1
    assert error in invalid[0].error
    assert invalid[0].trace_id == item["context"]["trace_id"]
    assert invalid[0].span_id == item["context"]["span_id"]


def test_deep_attributes_and_events_are_invalid() -> None:
    deep: object = 1
    for _ in range(500):
        deep = {"a": deep}
    event = {"name": "e", "timestamp": "2026-11-23T22:01:54Z", "attributes": deep}
    spans, invalid = spans_from_json([posted(attributes=deep), posted(events=[event])])
    assert not spans
    assert all("nests deeper than 64" in span.error for span in invalid)


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(POSTED, JSON_VALUES)))
def test_any_json_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        spans, invalid = spans_from_json([posted(**changes)])
    except AppError:
        return
    for span in spans:
        assert read_back(span)["name"] == span.name
    assert len(spans) + len(invalid) == 1
