"""Where a page of a sorted list starts, as the text that clients carry to the next request.

A list in the order of arrival names the row by its public id; a list sorted by a value carries
the value too. Clients treat both as opaque. Pure.

Source: data-plane contract, section 1.1.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import row_id_of

_VALUE_CURSOR: Final = re.compile(r"([0-9]{1,18}):NANOSECONDS:(-?[0-9]{1,19})")
_INTEGERS: Final = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True)
class Position:
    """The first row of a page; ``value`` counts only in a list that is sorted by a value."""

    row_id: int
    value: int = 0


def value_cursor(position: Position) -> str:
    """Write a position in a list that is sorted by nanoseconds."""
    return base64.b64encode(f"{position.row_id}:NANOSECONDS:{position.value}".encode()).decode()


def position_of_value_cursor(cursor: str) -> Position:
    """Read what ``value_cursor`` wrote.

    Raises:
        InvalidError: it is no such cursor.
    """
    try:
        decoded = base64.b64decode(cursor.encode(), validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        raise invalid_cursor(cursor) from None
    match = _VALUE_CURSOR.fullmatch(decoded)
    if match is None or int(match[2]) not in _INTEGERS:
        raise invalid_cursor(cursor)
    return Position(int(match[1]), int(match[2]))


def row_of_id_cursor(cursor: str, kind: str) -> int:
    """Read the row from which a page starts in a list in the order of arrival.

    Raises:
        InvalidError: it is no public id of that kind.
    """
    row_id = row_id_of(cursor, kind)
    if row_id is None:
        raise invalid_cursor(cursor)
    return row_id


def invalid_cursor(cursor: str) -> InvalidError:
    """Return the refusal of a cursor that is none."""
    return InvalidError(f"Invalid cursor format: {cursor[:200]}")
