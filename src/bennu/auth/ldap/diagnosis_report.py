"""What a try of the directory found: values, so that their readers need no LDAP library."""

from dataclasses import dataclass

from bennu.auth.ldap.faults import Step


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step.

    Args:
        step: its name.
        ok: whether a sign-in would go on from here.
        seconds: how long it took.
        detail: for people; holds no password.
        variables: the settings to look at, the likeliest first; none when it is well.
    """

    step: Step
    ok: bool
    seconds: float
    detail: str
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiagnosisReport:
    """All steps, in the order in which they were taken; those of each server come first."""

    steps: tuple[StepResult, ...]
    role: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is well."""
        return all(step.ok for step in self.steps)
