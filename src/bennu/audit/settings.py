"""How long audit records are kept.

Spec: lines 251-260.
"""

from dataclasses import dataclass
from typing import Final, Self

from bennu.kernel.env import Env, Variable

_MOST_DAYS: Final = 36_500

VARIABLES: Final = (
    Variable(
        "PHOENIX_AUDIT_RETENTION_DAYS",
        "whole number",
        "400",
        "Days that audit records are kept, at least 1; the chain stays verifiable.",
        256,
    ),
)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Audit records; ``retention_days`` is at least 1."""

    retention_days: int = 400

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the retention of the records."""
        return cls(env.whole("PHOENIX_AUDIT_RETENTION_DAYS", 400, 1, _MOST_DAYS))
