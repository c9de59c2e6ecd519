"""How long traces are kept when a project says nothing else; where erasures are remembered.

Spec: lines 263-264.
"""

from dataclasses import dataclass
from pathlib import Path
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
    Variable(
        "PHOENIX_ERASURE_LEDGER_FILE",
        "path",
        "erasures.ledger in the working directory",
        "File that remembers erasures outside the database, for restored backups.",
        265,
    ),
)


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """Retention and erasure.

    Args:
        default_retention_days: 0 keeps everything.
        erasure_ledger: None for the usual place.
    """

    default_retention_days: int = 0
    erasure_ledger: Path | None = None

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the retention."""
        return cls(
            env.whole("PHOENIX_DEFAULT_RETENTION_POLICY_DAYS", 0, 0, _MOST_DAYS),
            env.path("PHOENIX_ERASURE_LEDGER_FILE"),
        )
