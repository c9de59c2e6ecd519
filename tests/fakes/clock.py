"""A clock that moves only when a test says so."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


class FrozenClock:
    """Satisfies ``kernel.clock.Clock``; both of its times move together."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._passed = timedelta()

    def now_utc(self) -> datetime:
        return self._start + self._passed

    def monotonic_seconds(self) -> float:
        return 1000 + self._passed.total_seconds()

    def advance(self, passed: timedelta | float) -> None:
        """Let time pass: a timedelta, or seconds."""
        self._passed += passed if isinstance(passed, timedelta) else timedelta(seconds=passed)
