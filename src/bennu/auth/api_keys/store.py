"""Rows of API keys."""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, insert, or_, select

from bennu.storage.schema import api_keys, grants, projects, users

USER_KEYS: Final = "user"
SYSTEM_KEYS: Final = "system"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself. Times: microseconds since 1970 UTC."""

    row_id: int
    kind: str
    user_id: int | None
    name: str
    description: str | None
    permissions: str | None
    projects: str | None
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    username: str | None
    email: str | None


def _keys(kind: str) -> Select[Any]:
    return (
        select(
            api_keys.c.id,
            api_keys.c.kind,
            api_keys.c.user_id,
            api_keys.c.name,
            api_keys.c.description,
            api_keys.c.permissions,
            api_keys.c.projects,
            api_keys.c.created_at,
            api_keys.c.expires_at,
            api_keys.c.last_used_at,
            users.c.username,
            users.c.email,
        )
        .select_from(api_keys.outerjoin(users, users.c.id == api_keys.c.user_id))
        .where(api_keys.c.kind == kind)
    )


def insert_api_key(connection: Connection, values: dict[str, Any], role: str | None) -> int:
    """Insert a key; a system key gets its role as a grant. Return its row id."""
    result = connection.execute(insert(api_keys).values(**values).returning(api_keys.c.id))
    row_id = int(result.scalar_one())
    if role is not None:
        connection.execute(
            insert(grants).values(
                subject_kind="system_key",
                subject_id=row_id,
                role=role,
                scope="global",
                created_at=values["created_at"],
            )
        )
    return row_id


def newest_api_keys(
    connection: Connection,
    kind: str,
    user_id: int | None = None,
    limit: int | None = None,
    at_most_id: int | None = None,
) -> list[ApiKey]:
    """Return keys of a kind, newest first, of one user if one is given."""
    statement = _keys(kind).order_by(api_keys.c.id.desc())
    if user_id is not None:
        statement = statement.where(api_keys.c.user_id == user_id)
    if at_most_id is not None:
        statement = statement.where(api_keys.c.id <= at_most_id)
    if limit is not None:
        statement = statement.limit(limit)
    return [ApiKey(*tuple(row)) for row in connection.execute(statement)]


def find_api_key(connection: Connection, kind: str, row_id: int) -> ApiKey | None:
    """Return one key of a kind."""
    row = connection.execute(_keys(kind).where(api_keys.c.id == row_id)).first()
    return None if row is None else ApiKey(*tuple(row))


def delete_api_key_row(connection: Connection, row_id: int) -> None:
    """Delete a key; its credentials go with it."""
    connection.execute(
        delete(grants).where(grants.c.subject_kind == "system_key", grants.c.subject_id == row_id)
    )
    connection.execute(delete(api_keys).where(api_keys.c.id == row_id))


def project_rows(
    connection: Connection, names: tuple[str, ...], row_ids: tuple[int, ...]
) -> dict[int, str]:
    """Return row id and name of the projects that are named, or given by row id."""
    statement = select(projects.c.id, projects.c.name).where(
        or_(projects.c.name.in_(names), projects.c.id.in_(row_ids))
    )
    return {int(row[0]): str(row[1]) for row in connection.execute(statement)}


def ids_json(row_ids: frozenset[int] | None) -> str | None:
    """Write a restriction as it is stored; None for none."""
    return None if row_ids is None else json.dumps(sorted(row_ids))
