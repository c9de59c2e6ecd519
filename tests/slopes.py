"""How fast something rises: a straight line through measured points, and how sure it is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Standard errors on either side; the true slope lies above ``at_most`` once in a thousand times.
_ERRORS = 3


@dataclass(frozen=True)
class Slope:
    """Rise per step and its standard error."""

    rise: float
    error: float

    @property
    def at_most(self) -> float:
        """The rise with its uncertainty on top."""
        return self.rise + _ERRORS * self.error

    def __str__(self) -> str:
        return f"{self.rise:.3f} ± {self.error:.3f}"


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line by least squares."""
    places, values = zip(*points, strict=True)
    rise, start = statistics.linear_regression(places, values)
    spread = sum((value - start - rise * place) ** 2 for place, value in points)
    middle = statistics.fmean(places)
    width = sum((place - middle) ** 2 for place in places)
    return Slope(rise, math.sqrt(spread / (len(points) - 2) / width))
