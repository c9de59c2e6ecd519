"""When a retention policy runs: the part of cron that policies use. Pure.

Five fields, of which the minute is 0 and the day of the month and the month are ``*``; hours and
days of the week are lists, ranges and steps. Sunday is 0 (7 is taken too). Times are UTC.

Spec: lines 262-264. Source: contract, section 11.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bennu.kernel.errors import InvalidError

HOURLY: Final = "0 * * * *"
_ALLOWED: Final = (
    "cron_expression: five fields such as `0 3 * * 0`: minute 0, hours 0-23, `*`, `*`, "
    "days of the week 0-6 (Sunday is 0)"
)
_HOUR: Final = timedelta(hours=1)
_HOURS_PER_WEEK: Final = 168
_LONGEST: Final = 200


class CronError(InvalidError):
    """An expression that is none, or beyond what policies use."""

    code = "cron"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Full hours of the week.

    Args:
        hours: 0 to 23, not empty.
        weekdays: 0 (Sunday) to 6, not empty.
    """

    hours: frozenset[int]
    weekdays: frozenset[int]

    def _is_hour(self, moment: datetime) -> bool:
        return moment.hour in self.hours and moment.isoweekday() % 7 in self.weekdays

    def last_before(self, now: datetime) -> datetime:
        """Return the newest full hour of the schedule that is not after ``now``."""
        moment = now.replace(minute=0, second=0, microsecond=0)
        for _ in range(_HOURS_PER_WEEK):
            if self._is_hour(moment):
                break
            moment -= _HOUR
        return moment

    def next_after(self, now: datetime) -> datetime:
        """Return the first full hour of the schedule after ``now``."""
        moment = now.replace(minute=0, second=0, microsecond=0) + _HOUR
        for _ in range(_HOURS_PER_WEEK):
            if self._is_hour(moment):
                break
            moment += _HOUR
        return moment


def read_schedule(expression: str) -> Schedule:
    """Read an expression.

    Raises:
        CronError: it is not one that policies can have; the text says what is allowed.
    """
    fields = expression.split() if len(expression) <= _LONGEST else []
    if len(fields) != 5 or fields[0] not in {"0", "00"} or fields[2:4] != ["*", "*"]:  # noqa: PLR2004 - five
        raise CronError(_ALLOWED)
    weekdays = _values(fields[4], 7)
    return Schedule(_values(fields[1], 23), frozenset(day % 7 for day in weekdays))


def _values(field: str, highest: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        found.update(_part(part, highest))
    return frozenset(found)


def _part(part: str, highest: int) -> range:
    span, slash, step_text = part.partition("/")
    step = _number(step_text, highest) if slash else 1
    first_text, dash, last_text = span.partition("-")
    if span == "*":
        first, last = 0, highest
    else:
        first = _number(first_text, highest)
        last = _number(last_text, highest) if dash else (highest if slash else first)
    if step == 0 or first > last:
        raise CronError(_ALLOWED)
    return range(first, last + 1, step)


def _number(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and int(text) <= highest):  # noqa: PLR2004 - digits
        raise CronError(_ALLOWED)
    return int(text)
