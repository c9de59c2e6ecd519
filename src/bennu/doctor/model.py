"""What a check of a deployment says. Pure values.

Spec: lines 226-250, 273-292.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"  # works, and should not stay so
    FAIL = "fail"  # unsafe, invalid or out of reach
    SKIP = "skip"  # does not apply here, or was not looked at


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report; never holds a secret.

    Args:
        check: what was looked at, a fixed word.
        state: how it ended.
        seen: what was seen, for people.
        variable: the setting to look at, "" for none.
        why: why it matters.
        fix: what to set or do, "" when all is well.
        spec_line: where the specification asks for it, None where it does not.
    """

    check: str
    state: State
    seen: str
    variable: str = ""
    why: str = ""
    fix: str = ""
    spec_line: int | None = None

    def row(self) -> dict[str, object]:
        """Return the finding as it is printed in JSON."""
        return {
            "check": self.check,
            "state": str(self.state),
            "variable": self.variable,
            "seen": self.seen,
            "why": self.why,
            "fix": self.fix,
            "spec_line": self.spec_line,
        }


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether anything is unsafe, invalid or out of reach."""
    return any(finding.state is State.FAIL for finding in findings)
