"""How an account stands in the directory: a value, so that its readers need no LDAP library."""

from dataclasses import dataclass
from typing import Final

MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands in the directory.

    Args:
        reason: why it may not be used, one word; "" when it may.
        role: the one its groups give, None where it may not be used or that is not known.
    """

    reason: str = ""
    role: str | None = None
