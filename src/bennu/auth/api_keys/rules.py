"""What a new key may be: its name, how long it lives, what it may do and where.

A key never has more than its maker: a permission, a role or a lifetime beyond that is refused.

Spec: lines 140, 152-155.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from bennu.access import PROJECT_PERMISSIONS, SYSTEM, Permission
from bennu.auth.api_keys.store import project_rows
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import DeniedError, FieldProblem, SchemaError
from bennu.kernel.ids import row_id_of
from bennu.roles.store import permissions_of_role, role_name_of

NAME_LIMIT: Final = 256
DESCRIPTION_LIMIT: Final = 4096
PROJECTS_LIMIT: Final = 1000
#: Later ones, by their offset from UTC, could be stored and never shown again.
LATEST_EXPIRY: Final = datetime.max.replace(tzinfo=UTC)


def _wrong(field: str, allowed: str, seen: object = None) -> SchemaError:
    return SchemaError(FieldProblem(("body", "data", field), allowed, seen=seen))


def clean_name(text: str) -> str:
    """Return the name of a key without blanks around it.

    Raises:
        SchemaError: it is blank, too long, or holds NUL.
    """
    name = text.strip()
    if not name or len(name) > NAME_LIMIT or "\0" in name:
        raise _wrong("name", f"Input should be 1 to {NAME_LIMIT} characters")
    return name


def clean_description(text: str | None) -> str | None:
    """Return the description of a key.

    Raises:
        SchemaError: it is too long, or holds NUL.
    """
    if text is not None and (len(text) > DESCRIPTION_LIMIT or "\0" in text):
        raise _wrong("description", f"Input should be at most {DESCRIPTION_LIMIT} characters")
    return text


def clean_expiry(wanted: datetime | None, now: datetime, longest: timedelta | None) -> int | None:
    """Return when a key ends, in microseconds; None for never.

    Args:
        wanted: as asked for.
        now: the current time.
        longest: the limit of the settings; without a wish a key lives that long.

    Raises:
        SchemaError: that is in the past, beyond the limit, or beyond all dates.
    """
    if wanted is not None and wanted <= now:
        raise _wrong("expires_at", "Input should be in the future")
    if wanted is not None and wanted > LATEST_EXPIRY:
        raise _wrong("expires_at", f"Input should be at most {LATEST_EXPIRY:%Y-%m-%dT%H:%M:%SZ}")
    if longest is None:
        return None if wanted is None else to_microseconds(wanted)
    if wanted is not None and wanted > now + longest:
        days = longest / timedelta(days=1)
        raise _wrong(
            "expires_at",
            f"Input should be at most {days:g} days from now (PHOENIX_API_KEY_MAX_LIFETIME_DAYS)",
        )
    return to_microseconds(wanted or now + longest)


def clean_role(connection: Connection, own: frozenset[Permission], role: str | None) -> str:
    """Return the role of a system key in its own spelling, SYSTEM when none was named.

    Args:
        connection: to look up roles that admins defined.
        own: what the maker may do.
        role: as asked for.

    Raises:
        SchemaError: there is no such role.
        DeniedError: it may do more than the maker.
    """
    name = role_name_of(connection, SYSTEM if role is None else role)
    permissions = None if name is None else permissions_of_role(connection, name)
    if name is None or permissions is None:
        raise _wrong("role", "Input should be a known role")
    if not permissions <= own:
        raise DeniedError("Nobody gives a role above their own", detail="role above the caller's")
    return name


def clean_permissions(
    names: Sequence[str] | None,
    own: frozenset[Permission],
    of_role: frozenset[Permission] | None,
    *,
    is_restricted: bool,
) -> str | None:
    """Return the permissions of a key as they are stored, None for all of its owner's or role's.

    Args:
        names: as asked for; None when nothing was asked for.
        own: what the maker may do.
        of_role: what the role of a system key may do; None for a user's key.
        is_restricted: whether the key is restricted to projects.

    Raises:
        SchemaError: none, an unknown one, or one that the key could not use.
        DeniedError: more than the maker may do.
    """
    if names is None:
        return None
    known = {str(permission) for permission in Permission}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise _wrong(
            "permissions", f"Input should be one or more of {', '.join(sorted(known))}", unknown
        )
    wanted = frozenset(Permission(name) for name in names)
    if not wanted <= own:
        raise DeniedError("Nobody gives more than they may do", detail="permissions above own")
    if of_role is not None and not wanted <= of_role:
        raise _wrong(
            "permissions",
            "Input should be permissions that the key's role has",
            sorted(wanted - of_role),
        )
    if is_restricted and not wanted <= PROJECT_PERMISSIONS:
        raise _wrong(
            "permissions",
            "A key that is restricted to projects can have only "
            + ", ".join(sorted(PROJECT_PERMISSIONS)),
            sorted(wanted - PROJECT_PERMISSIONS),
        )
    return json.dumps(sorted(wanted))


def clean_projects(
    connection: Connection, identifiers: Sequence[str] | None
) -> frozenset[int] | None:
    """Return the rows of the projects that a key is restricted to, None for no restriction.

    Why safe: a text that is the id of a project means that one alone. Whoever names a project like
    another's id brings it under no key that was made for the other.

    Raises:
        SchemaError: none is named, too many are, or one that does not exist.
    """
    if identifiers is None:
        return None
    if len(identifiers) > PROJECTS_LIMIT:
        raise _wrong("projects", f"Input should be at most {PROJECTS_LIMIT} projects")
    by_id = {i: row_id for i in identifiers if (row_id := row_id_of(i, "Project")) is not None}
    found = project_rows(connection, tuple(identifiers), tuple(by_id.values()))
    by_text = {name: row_id for row_id, name in found.items()}
    by_text.update((i, row_id) for i, row_id in by_id.items() if row_id in found)
    missing = [i for i in identifiers if i not in by_text]
    if missing or not identifiers:
        raise _wrong("projects", "Input should be names or ids of projects that exist", missing)
    return frozenset(by_text[i] for i in identifiers)
