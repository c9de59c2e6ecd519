"""Until when something may take, passed down through all that it does."""

from dataclasses import dataclass
from typing import Self

from bennu.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of a monotonic clock."""

    clock: Clock
    at_seconds: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Self:
        """Return the moment so many seconds from now."""
        return cls(clock, clock.monotonic_seconds() + seconds)

    def within(self, seconds: float) -> "Deadline":
        """Return the moment so many seconds from now, or this one if it is sooner."""
        return Deadline(self.clock, min(self.at_seconds, self.clock.monotonic_seconds() + seconds))

    def left_seconds(self) -> float:
        """Return how much time is left, zero when it is over."""
        return max(0.0, self.at_seconds - self.clock.monotonic_seconds())

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.left_seconds() == 0
