"""The only file that reads the time; everybody else is given a clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from; tests pass one that stands still."""

    def now_utc(self) -> datetime:
        """Return the current time, aware, in UTC."""

    def monotonic_seconds(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""


class SystemClock:
    """The machine's own clock."""

    def now_utc(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic_seconds(self) -> float:
        """Return seconds from an arbitrary start that never run backwards."""
        return time.monotonic()
