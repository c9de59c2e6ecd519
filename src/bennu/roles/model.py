"""What a role is, and the rules of its name and its permissions. Pure.

Spec: line 270 (access controls).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bennu.access import BUILT_IN_ROLES, Permission
from bennu.kernel.errors import FieldProblem, SchemaError

ROLE: Final = "Role"
DESCRIPTION_LIMIT: Final = 4096
#: No character that separates names in PHOENIX_OAUTH2_…_ROLE_MAPPING and its like.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9 _.-]{0,62}[A-Za-z0-9]|[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Role:
    """A name for permissions; times in microseconds since 1970 UTC, None for built-in roles.

    Args:
        name: unique whatever its case.
        permissions: all that it allows.
        description: for people to read.
        row_id: None for a built-in role.
        created_at: when it was made.
        updated_at: when it was changed last.
        holders: how many users and system keys have it.
    """

    name: str
    permissions: frozenset[Permission]
    description: str | None = None
    row_id: int | None = None
    created_at: int | None = None
    updated_at: int | None = None
    holders: int = 0

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with the server and cannot be changed."""
        return self.row_id is None


def built_in_role(name: str) -> Role | None:
    """Return the built-in role of a name in any case."""
    permissions = BUILT_IN_ROLES.get(name.upper())
    return None if permissions is None else Role(name.upper(), permissions)


def clean_role_name(text: str) -> str:
    """Return the name of a role without blanks around it.

    Raises:
        SchemaError: it is none, or that of a built-in role.
    """
    name = text.strip()
    if _NAME.fullmatch(name) is None:
        raise _refused(
            "name",
            "Input should be 1 to 64 letters, digits, blanks and any of _.- and begin with a "
            "letter",
        )
    if built_in_role(name) is not None:
        raise _refused("name", f"Input should be another name than {', '.join(BUILT_IN_ROLES)}")
    return name


def clean_description(text: str | None) -> str | None:
    """Return the description of a role.

    Raises:
        SchemaError: it is too long.
    """
    if text is not None and len(text) > DESCRIPTION_LIMIT:
        raise _refused("description", f"Input should be at most {DESCRIPTION_LIMIT} characters")
    return text


def clean_permissions(names: Sequence[str]) -> frozenset[Permission]:
    """Return permissions of the catalog.

    Raises:
        SchemaError: there are none, or one is not in the catalog.
    """
    known = {str(permission) for permission in Permission}
    unknown = sorted(set(names) - known)
    if unknown or not names:
        raise SchemaError(
            FieldProblem(
                ("body", "permissions"),
                f"Input should be one or more of {', '.join(sorted(known))}",
                seen=unknown,
            )
        )
    return frozenset(Permission(name) for name in names)


def _refused(field: str, text: str) -> SchemaError:
    return SchemaError(FieldProblem(("body", field), text))
