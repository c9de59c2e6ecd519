"""How long traces are kept: policies, and from policy and time to what is past it. Pure.

Spec: lines 262-264. Source: contract, section 11.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.kernel.ids import global_id
from bennu.privacy.cron import HOURLY, Schedule, read_schedule

POLICY: Final = "ProjectTraceRetentionPolicy"
DEFAULT_ROW: Final = 0
DEFAULT_NAME: Final = "Default"
MOST_DAYS: Final = 36_500.0
MOST_COUNT: Final = (1 << 53) - 1
MOST_NAME_CHARACTERS: Final = 200
_MICROSECONDS_PER_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept; 0 says nothing.

    Args:
        max_days: traces that began longer ago go; days may be fractions.
        max_count: of each project, so many of the newest traces stay.
    """

    max_days: float = 0
    max_count: int = 0

    @property
    def keeps_everything(self) -> bool:
        """Whether nothing ever goes."""
        return not self.max_days and not self.max_count

    @property
    def kind(self) -> str:
        """Return the type, as clients name it."""
        if self.max_days and self.max_count:
            return "max_days_or_count"
        return "max_count" if self.max_count else "max_days"

    def shown(self) -> dict[str, Any]:
        """Return the rule as clients see it."""
        kind = self.kind
        days = {"max_days": float(self.max_days)} if "days" in kind else {}
        count = {"max_count": self.max_count} if "count" in kind else {}
        return {"type": kind, **days, **count}


@dataclass(frozen=True, slots=True)
class Policy:
    """How long the traces of some projects are kept, and when that is seen to.

    Args:
        row_id: 0 for the default policy.
        name: unique.
        cron_expression: see ``cron.py``.
        rule: what is kept.
        created_at: microseconds since 1970 UTC.
        updated_at: of the newest change.
        last_run_at: when the newest complete run began; None makes a run due at once.
    """

    row_id: int
    name: str
    cron_expression: str
    rule: Rule
    created_at: int = 0
    updated_at: int = 0
    last_run_at: int | None = None

    @property
    def public_id(self) -> str:
        """The identifier that clients see."""
        return global_id(POLICY, self.row_id)

    @property
    def is_default(self) -> bool:
        """Whether it is for the projects without one of their own."""
        return self.row_id == DEFAULT_ROW

    @property
    def schedule(self) -> Schedule:
        """The full hours at which it runs."""
        return read_schedule(self.cron_expression)

    def is_due(self, now: datetime, last_run: datetime | None) -> bool:
        """Whether a full hour of its schedule passed since the last run; one missed counts."""
        if self.rule.keeps_everything:
            return False
        return last_run is None or self.schedule.last_before(now) > last_run


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """What an admin wants a policy to be."""

    name: str
    cron_expression: str
    rule: Rule

    def check(self, *loc: str) -> None:
        """Refuse what no policy can be.

        Args:
            loc: the way to the fields in the request.

        Raises:
            SchemaError: names the field and says what is allowed.
            CronError: the schedule is not one.
        """
        if not self.name.strip() or len(self.name) > MOST_NAME_CHARACTERS:
            text = f"1 to {MOST_NAME_CHARACTERS} characters that are not all blank"
            raise SchemaError(FieldProblem((*loc, "name"), text))
        days, count = self.rule.max_days, self.rule.max_count
        if not (math.isfinite(days) and 0 <= days <= MOST_DAYS):
            text = f"a number from 0 to {MOST_DAYS:.0f}; 0 keeps everything"
            raise SchemaError(FieldProblem((*loc, "rule", "max_days"), text))
        if not 0 <= count <= MOST_COUNT:
            text = f"a whole number from 0 to {MOST_COUNT}; 0 keeps everything"
            raise SchemaError(FieldProblem((*loc, "rule", "max_count"), text))
        read_schedule(self.cron_expression)


def default_draft(days: float) -> PolicyDraft:
    """Return the default policy that ``PHOENIX_DEFAULT_RETENTION_POLICY_DAYS`` asks for."""
    return PolicyDraft(DEFAULT_NAME, HOURLY, Rule(max_days=float(days)))


def cutoff_of(rule: Rule, now: datetime) -> datetime | None:
    """Return the time before which traces are past their age, or None for any age."""
    if not rule.max_days:
        return None
    return now - timedelta(microseconds=round(rule.max_days * _MICROSECONDS_PER_DAY))
