"""Which schedules policies can have, and when they run. Contract: section 11."""

from datetime import UTC, datetime

import pytest

from bennu.privacy.cron import CronError, read_schedule

#: A Friday.
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "last", "following"),
    [
        ("0 * * * *", "2026-01-02T03:00", "2026-01-02T04:00"),
        ("0 0 * * 0", "2025-12-28T00:00", "2026-01-04T00:00"),
        ("0 0 * * 7", "2025-12-28T00:00", "2026-01-04T00:00"),
        ("0 3 * * *", "2026-01-02T03:00", "2026-01-03T03:00"),
        ("0 22-23 * * 1-5", "2026-01-01T23:00", "2026-01-02T22:00"),
        ("0 */6 * * *", "2026-01-02T00:00", "2026-01-02T06:00"),
        ("0 1,5 * * 5,6", "2026-01-02T01:00", "2026-01-02T05:00"),
        ("0 5/6 * * *", "2026-01-01T23:00", "2026-01-02T05:00"),
    ],
)
def test_full_hours_around_a_moment(expression: str, last: str, following: str) -> None:
    schedule = read_schedule(expression)
    assert schedule.last_before(NOW).isoformat().startswith(last)
    assert schedule.next_after(NOW).isoformat().startswith(following)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "nonsense",
        "0 0 * *",
        "5 0 * * 0",
        "* * * * *",
        "0 24 * * *",
        "0 0 1 * *",
        "0 0 * 1 *",
        "0 0 * * 8",
        "0 5-2 * * *",
        "0 */0 * * *",
        "0 -1 * * *",
        "0 1, * * *",
        "0 ٣ * * *",
        "0 0 * * 0 0",
        "0 " + "1," * 200 + "1 * * *",
    ],
)
def test_other_expressions_are_refused_with_what_is_allowed(expression: str) -> None:
    with pytest.raises(CronError, match="five fields"):
        read_schedule(expression)
