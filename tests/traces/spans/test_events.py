import json

from bennu.traces.spans.events import SpanEvent, events_to_json, iso_from_ns


def test_an_exception_keeps_only_what_describes_it() -> None:
    kept = {
        "exception.message": "boom",
        "exception.type": "ValueError",
        "exception.escaped": "False",
        "exception.stacktrace": "line 1",
    }
    events = json.loads(events_to_json([SpanEvent("exception", 0, {**kept, "request.body": "x"})]))
    assert events == [
        {"name": "exception", "timestamp": "1970-01-01T00:00:00+00:00", "attributes": kept}
    ]


def test_other_events_keep_everything_in_order() -> None:
    events = [SpanEvent("b", 1_500, {"k.v": [1]}), SpanEvent("a", 0, {})]
    read = json.loads(events_to_json(events))
    assert [event["name"] for event in read] == ["b", "a"]
    assert read[0]["attributes"] == {"k.v": [1]}


def test_times_are_cut_to_microseconds() -> None:
    assert iso_from_ns(1_795_471_309_655_760_999) == "2026-11-23T22:01:49.655760+00:00"
    assert iso_from_ns(2**64 - 1).startswith("2554-")
    assert events_to_json([]) == b"[]"
