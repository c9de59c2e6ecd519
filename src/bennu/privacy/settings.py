"""How long traces are kept when a project says nothing else.

Spec: lines 263-264.
"""

from dataclasses import dataclass
from typing import Final, Self

from bennu.kernel.env import Env, Variable

_MOST_DAYS: Final = 36_500

VARIABLES: Final = (
    Variable(
        "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS",
        "whole number",
        "0",
        "Days that traces are kept; 0 keeps them for ever.",
        264,
    ),
)


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """Retention; ``default_retention_days`` is 0 for keeping everything."""

    default_retention_days: int = 0

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the retention."""
        return cls(env.whole("PHOENIX_DEFAULT_RETENTION_POLICY_DAYS", 0, 0, _MOST_DAYS))
