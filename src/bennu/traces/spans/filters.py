"""Which spans a reader asks for: the filters of a list, as values. Pure.

Source: data-plane contract, section 6 (attribute parameter, sorts, cursors).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import ColumnElement

from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import global_id
from bennu.traces.spans.attributes import key_segments
from bennu.traces.spans.cursors import (
    Position,
    position_of_value_cursor,
    row_of_id_cursor,
    value_cursor,
)

SPAN_KIND: Final = "Span"
MOST_ATTRIBUTE_FILTERS: Final = 20
_MOST_SEGMENTS: Final = 16
#: JSON paths of SQLite cannot quote these.
_UNSEARCHABLE: Final = re.compile(r'["\\\x00-\x1f]')
_INTEGERS: Final = range(-(1 << 63), 1 << 63)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class AttributeMatch:
    """An attribute that must have a value.

    Args:
        segments: the dotted key, split; 1 to 16.
        value: a text, number or truth value; numbers are equal whatever their form.
    """

    segments: tuple[str, ...]
    value: Scalar


@dataclass(frozen=True, slots=True)
class SpanFilter:
    """All must hold; an absent one is None, an empty tuple matches nothing.

    Args:
        trace_ids: 16 bytes each.
        span_ids: 8 bytes each.
        parent_id: 8 bytes, or b"" for spans without a parent.
        names: exact.
        span_kinds: in capitals.
        status_codes: in capitals.
        from_ns: start at or after, nanoseconds since 1970 UTC.
        before_ns: start before.
        attributes: see ``AttributeMatch``.
        condition: a filter that somebody wrote, as SQL for ``sqlite`` or ``postgresql``.
    """

    trace_ids: tuple[bytes, ...] | None = None
    span_ids: tuple[bytes, ...] | None = None
    parent_id: bytes | None = None
    names: tuple[str, ...] | None = None
    span_kinds: tuple[str, ...] | None = None
    status_codes: tuple[str, ...] | None = None
    from_ns: int | None = None
    before_ns: int | None = None
    attributes: tuple[AttributeMatch, ...] = ()
    condition: Callable[[str], ColumnElement[bool]] | None = None


@dataclass(frozen=True, slots=True)
class SpanOrder:
    """By row, which is the order of arrival, or by start; newest first unless ascending."""

    by_start: bool = False
    ascending: bool = False


def attribute_match(text: str) -> AttributeMatch:
    """Read ``key:value``; the value as JSON where it is that, else as text.

    Raises:
        InvalidError: no colon, an empty part, a value that is null, a list or an object.
    """
    key, colon, written = text.partition(":")
    segments = tuple(key_segments(key))
    if not colon or not segments or not written:
        raise InvalidError(f"Invalid attribute filter {text[:200]!r}: expected key:value")
    if len(segments) > _MOST_SEGMENTS or _UNSEARCHABLE.search(key):
        raise InvalidError(
            f"Invalid attribute filter {text[:200]!r}: a key has at most {_MOST_SEGMENTS} parts, "
            "without quotes, backslashes and control characters"
        )
    try:
        value: object = msgspec.json.decode(written.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return AttributeMatch(segments, written)
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INTEGERS:
        value = _float_of(value, text)
    if not isinstance(value, Scalar):
        raise InvalidError(
            f"Invalid attribute filter {text[:200]!r}: "
            "the value must be a text, a number, true or false"
        )
    return AttributeMatch(segments, value)


def _float_of(value: int, text: str) -> float:
    """Return a number of more than 64 bits as the float that is compared.

    Raises:
        InvalidError: no float is so large.
    """
    try:
        return float(value)
    except OverflowError:
        raise InvalidError(
            f"Invalid attribute filter {text[:200]!r}: the number is too large"
        ) from None


def cursor_at(position: Position, order: SpanOrder) -> str:
    """Write where the next page starts."""
    if order.by_start:
        return value_cursor(position)
    return global_id(SPAN_KIND, position.row_id)


def position_of_cursor(cursor: str, order: SpanOrder) -> Position:
    """Read what ``cursor_at`` wrote for the same order.

    Raises:
        InvalidError: it is no such cursor.
    """
    if order.by_start:
        return position_of_value_cursor(cursor)
    return Position(row_of_id_cursor(cursor, SPAN_KIND))
