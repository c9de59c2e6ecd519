"""Values in parts: every one once, in order, never too many."""

import pytest

from bennu.storage.parts import PART_SIZE, parts_of


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, []),
        (1, [1]),
        (PART_SIZE, [PART_SIZE]),
        (PART_SIZE + 1, [PART_SIZE, 1]),
        (3 * PART_SIZE - 1, [PART_SIZE, PART_SIZE, PART_SIZE - 1]),
    ],
)
def test_all_come_once_and_in_order(count: int, sizes: list[int]) -> None:
    parts = list(parts_of(range(count)))
    assert [len(part) for part in parts] == sizes
    assert [value for part in parts for value in part] == list(range(count))
