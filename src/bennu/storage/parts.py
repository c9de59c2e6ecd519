"""Values that go into a statement, in parts that every database takes.

Spec: none. Source: SQLite, "Implementation Limits" (the number of host parameters is bounded).
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

Value = TypeVar("Value")

#: Far below the bound of either database, and enough that the number of statements costs little.
PART_SIZE: Final = 500


def parts_of(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Return the values in their order, at most 500 at once."""
    for start in range(0, len(values), PART_SIZE):
        yield values[start : start + PART_SIZE]
