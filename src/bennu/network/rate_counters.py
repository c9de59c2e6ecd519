"""Counting in a moving window, in the memory of this process and within bounds.

A request passes when fewer than N passed in the window that ends now. What was refused does not
count, so that waiting as long as the answer says always helps.

Spec: lines 212-216. Source: the "sliding window log" algorithm.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from bennu.network.rate_rules import RateLimit

#: Some 64 MB; the counts that were not asked for the longest time are forgotten beyond that.
MOST_TIMES: Final = 1_000_000


class Counters(Protocol):
    """Where requests are counted: in memory, or in Redis for several processes."""

    async def take(self, limit: RateLimit, who: str) -> float:
        """Count a request of somebody.

        Returns:
            0 when it passes, otherwise the seconds until one will.
        """

    async def close(self) -> None:
        """Let connections go."""


@dataclass(slots=True)
class _Window:
    """The times of requests that passed, the oldest first, and how long each counts."""

    seconds: int
    times: deque[float] = field(default_factory=deque)


class MemoryCounters:
    """Counts of one process.

    Args:
        monotonic_seconds: the clock.
        most_times: how many times of requests are kept at most.
    """

    def __init__(
        self, monotonic_seconds: Callable[[], float], most_times: int = MOST_TIMES
    ) -> None:
        self._now, self._most = monotonic_seconds, most_times
        self._windows: dict[tuple[str, str], _Window] = {}
        self._kept = 0

    async def take(self, limit: RateLimit, who: str) -> float:
        """Count a request; see ``Counters``."""
        return self.take_at_once(limit, who)

    async def close(self) -> None:
        """Nothing is held."""

    @property
    def kept_times(self) -> int:
        """How many times of requests are kept now."""
        return self._kept

    def take_at_once(self, limit: RateLimit, who: str) -> float:
        """Count a request without waiting for anything; see ``Counters``."""
        window, wait = self._look(limit, who)
        if wait == 0:
            window.times.append(self._now())
            self._kept += 1
            while self._kept > self._most:
                self._forget_oldest()
        return wait

    def wait_of(self, limit: RateLimit, who: str) -> float:
        """Return what ``take_at_once`` would, and count nothing."""
        return self._look(limit, who)[1]

    def _look(self, limit: RateLimit, who: str) -> tuple[_Window, float]:
        now = self._now()
        key = (limit.name, who)
        # Taken out and put back: the order of the dict is that of the last request.
        window = self._windows.pop(key, None) or _Window(limit.window_seconds)
        self._drop_old(window, now)
        self._forget_ended(now)
        self._windows[key] = window
        times = window.times
        is_full = len(times) >= limit.count
        return window, times[-limit.count] + limit.window_seconds - now if is_full else 0.0

    def _drop_old(self, window: _Window, now: float) -> None:
        times = window.times
        while times and now - times[0] >= window.seconds:
            times.popleft()
            self._kept -= 1

    def _forget_ended(self, now: float) -> None:
        """Look at the one that nobody asked for the longest time."""
        oldest = next(iter(self._windows), None)
        if oldest is None:
            return
        window = self._windows[oldest]
        if not window.times or now - window.times[-1] >= window.seconds:
            self._kept -= len(window.times)
            del self._windows[oldest]

    def _forget_oldest(self) -> None:
        oldest = next(iter(self._windows))
        self._kept -= len(self._windows.pop(oldest).times)
