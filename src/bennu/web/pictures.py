"""Small pictures of numbers over days, as points of inline SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 140
HEIGHT: Final = 32
_GAP: Final = 2
_LOWEST: Final = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: left edge, top edge, width and height in the units of the picture."""

    x: float
    y: float
    width: float
    height: float
    value: int


def bars_of(values: Sequence[int]) -> list[Bar]:
    """Return one bar per value; the largest fills the height, a small one is still seen."""
    if not values:
        return []
    largest = max(*values, 1)
    step = WIDTH / len(values)
    bars = []
    for place, value in enumerate(values):
        height = max(round(value / largest * (HEIGHT - 1), 1), _LOWEST) if value > 0 else 1.0
        bars.append(
            Bar(round(place * step, 1), HEIGHT - height, round(step - _GAP, 1), height, value)
        )
    return bars
