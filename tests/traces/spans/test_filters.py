"""Attribute filters and cursors as texts. Contract: sections 1.1 and 6."""

import pytest

from bennu.kernel.errors import InvalidError
from bennu.traces.spans.cursors import Position
from bennu.traces.spans.filters import (
    AttributeMatch,
    SpanOrder,
    attribute_match,
    cursor_at,
    position_of_cursor,
)

BY_ROW = SpanOrder()
BY_START = SpanOrder(by_start=True)


@pytest.mark.parametrize(
    ("text", "segments", "value"),
    [
        ("a:b", ("a",), "b"),
        ("a.b:c:d", ("a", "b"), "c:d"),
        ("a:1", ("a",), 1),
        ("a:1.5", ("a",), 1.5),
        ("a:true", ("a",), True),
        ('a:"1"', ("a",), "1"),
        ("a:01", ("a",), "01"),
        ("a:NaN", ("a",), "NaN"),
        ("a: b", ("a",), " b"),
        (" a . b :c", ("a", "b"), "c"),
    ],
)
def test_an_attribute_filter(text: str, segments: tuple[str, ...], value: object) -> None:
    found = attribute_match(text)
    assert found == AttributeMatch(segments, found.value)
    assert (found.value, type(found.value)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", ":b", "a:", ".:b", "a:null", "a:[1]", 'a:{"b":1}'),
        *(
            'a"b:c',
            "a:" + "9" * 400,
            "a:-" + "9" * 400,
            "a\\b:c",
            "a\x00:c",
            ".".join("a" * 17) + ":b",
        ),
    ],
)
def test_what_is_no_attribute_filter(text: str) -> None:
    with pytest.raises(InvalidError, match="Invalid attribute filter"):
        attribute_match(text)


def test_cursors_come_back() -> None:
    assert cursor_at(Position(20), BY_ROW) == "U3BhbjoyMA=="
    assert position_of_cursor("U3BhbjoyMA==", BY_ROW) == Position(20)
    for position in (Position(3, 1_700_000_000_123_456_789), Position(3, -5)):
        assert position_of_cursor(cursor_at(position, BY_START), BY_START) == position


@pytest.mark.parametrize("order", [BY_ROW, BY_START])
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "zzz",
        "é",
        "UHJvamVjdDoy",  # Project:2
        "U3Bhbjp4",  # Span:x
        "MTpOQU5PU0VDT05EUzo5OTk5OTk5OTk5OTk5OTk5OTk5",  # more than 64 bits
    ],
)
def test_what_is_no_cursor(cursor: str, order: SpanOrder) -> None:
    with pytest.raises(InvalidError, match="Invalid cursor format: "):
        position_of_cursor(cursor, order)


def test_a_cursor_of_one_order_is_none_of_the_other() -> None:
    with pytest.raises(InvalidError):
        position_of_cursor(cursor_at(Position(1, 2), BY_START), BY_ROW)
    with pytest.raises(InvalidError):
        position_of_cursor(cursor_at(Position(1), BY_ROW), BY_START)
