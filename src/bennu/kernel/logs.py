"""In which form the server logs, and how much.

Spec: lines 252-255.
"""

import logging
from dataclasses import dataclass
from typing import Final, Self

from bennu.kernel.env import Env, Variable

VARIABLES: Final = (
    Variable(
        "PHOENIX_LOGGING_MODE",
        "default or structured",
        "default",
        "`default` writes readable lines, `structured` one JSON object per line.",
        254,
    ),
    Variable(
        "PHOENIX_LOGGING_LEVEL",
        "level",
        "info",
        "The lowest level that is written: debug, info, warning, error or critical.",
        255,
    ),
    Variable(
        "PHOENIX_DB_LOGGING_LEVEL",
        "level",
        "warning",
        "The lowest level of the database libraries that is written.",
    ),
)

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_NAMES: Final = logging.getLevelNamesMapping()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Logs.

    Args:
        structured: JSON lines instead of readable ones.
        level: the lowest level written, a number of the standard library such as 20 for info.
        database_level: the same for the database libraries.
    """

    structured: bool = False
    level: int = logging.INFO
    database_level: int = logging.WARNING

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read form and level; any case."""
        mode = env.choice("PHOENIX_LOGGING_MODE", "default", ("default", "structured"))
        level = env.choice("PHOENIX_LOGGING_LEVEL", "info", _LEVELS)
        database_level = env.choice("PHOENIX_DB_LOGGING_LEVEL", "warning", _LEVELS)
        return cls(
            structured=mode == "structured",
            level=_NAMES[level.upper()],
            database_level=_NAMES[database_level.upper()],
        )
