"""Times as they are stored, and the machine's own clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.clock import SystemClock, from_microseconds, to_microseconds

MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))


def test_known_moments() -> None:
    assert to_microseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_microseconds(datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)) == 1_767_323_045_678_901
    assert to_microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)) == -1


@given(MOMENTS)
def test_no_microsecond_is_lost_on_the_way_there_and_back(moment: datetime) -> None:
    back = from_microseconds(to_microseconds(moment))
    assert back == moment
    assert back.tzinfo is UTC


@given(st.integers(-(10**16), 10**17))
def test_every_stored_number_is_a_time(microseconds: int) -> None:
    assert to_microseconds(from_microseconds(microseconds)) == microseconds


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        to_microseconds(datetime(2026, 1, 1))  # noqa: DTZ001 - that is what must be refused


def test_the_machines_clock_is_aware_and_its_other_time_never_runs_backwards() -> None:
    clock = SystemClock()
    assert abs(clock.now_utc() - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock.now_utc().tzinfo is UTC
    readings = [clock.monotonic_seconds() for _ in range(100)]
    assert readings == sorted(readings)
