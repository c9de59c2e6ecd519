"""The secret that everything stored is sealed under.

Spec: lines 11, 14-17, 163, 178 (rotation), 228, 245-250 (ages).
"""

from dataclasses import dataclass
from typing import Final, Self

from bennu.encryption.secret import secret_problems
from bennu.kernel.env import Env, Variable
from bennu.kernel.secret import Secret

_MOST_DAYS: Final = 3_650

VARIABLES: Final = (
    Variable(
        "PHOENIX_SECRET",
        "text",
        "",
        "Seals what is stored; at least 32 characters with a digit and a lowercase letter. "
        "Required with authentication on.",
        11,
        secret=True,
    ),
    Variable(
        "PHOENIX_SECRET_PREVIOUS",
        "comma list",
        "",
        "Earlier secrets that may still open what they sealed, until a rotation is done.",
        178,
        secret=True,
    ),
    Variable(
        "PHOENIX_ROTATION_DAYS",
        "whole number",
        "90",
        "The age in days at which a secret or a key counts as due for rotation.",
        245,
    ),
)


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """Secrets of the encryption at rest.

    Args:
        secret: the current one; None lets a random key file take its place.
        previous: earlier ones, newest first.
        rotation_days: the age at which a secret is due, at least 1.
    """

    secret: Secret | None = None
    previous: tuple[Secret, ...] = ()
    rotation_days: int = 90

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read and check the secrets; the rules hold with authentication off too."""
        secret = read_strong_secret(env, "PHOENIX_SECRET")
        return cls(
            secret=secret,
            previous=_read_previous(env, secret),
            rotation_days=env.whole("PHOENIX_ROTATION_DAYS", 90, 1, _MOST_DAYS),
        )


def read_strong_secret(env: Env, name: str) -> Secret | None:
    """Read a secret that must meet the rules of ``PHOENIX_SECRET``, each broken rule a problem."""
    if env.raw(name) == "":
        env.refuse(name, "a secret, not an empty text", secret=True)
    secret = env.secret(name)
    for problem in secret_problems(secret.reveal()) if secret is not None else ():
        shown = name if env.raw(name) else f"{name}_FILE"
        env.refuse(shown, problem, secret=True)
    return secret


def _read_previous(env: Env, current: Secret | None) -> tuple[Secret, ...]:
    name = "PHOENIX_SECRET_PREVIOUS"
    text = env.secret(name)
    parts = [] if text is None else [p for part in text.reveal().split(",") if (p := part.strip())]
    if parts and current is None and not env.is_set("PHOENIX_SECRET"):
        env.refuse(name, "set together with PHOENIX_SECRET only", secret=True)
    if current is not None and current.reveal() in parts:
        env.warn(name, "holds the current PHOENIX_SECRET too; it is used once", secret=True)
    return tuple(Secret(part) for part in dict.fromkeys(parts))
