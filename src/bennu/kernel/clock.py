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


def to_microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970 UTC, the form in which times are stored."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_microseconds(microseconds: int) -> datetime:
    """Return the aware UTC time of stored microseconds."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
