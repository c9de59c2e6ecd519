"""Rows of API keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update

from bennu.auth.credential import CredentialKind, clear_part
from bennu.storage.schema import api_keys, credentials, grants, projects, users

USER_KEYS: Final = "user"
SYSTEM_KEYS: Final = "system"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself. Times: microseconds since 1970 UTC.

    ``permissions`` and ``projects`` are JSON lists, None for no restriction; ``role`` is that of
    a system key; ``replaced_by`` is the row of the key that it was rotated to; ``lookup`` is the
    part of the key that is clear.
    """

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
    last_used_address: str | None
    replaced_by: int | None
    role: str | None
    username: str | None
    email: str | None
    lookup: str | None

    @property
    def prefix(self) -> str:
        """How the key begins, enough to recognise it: all of it that is no secret."""
        kind = CredentialKind.SYSTEM_KEY if self.kind == SYSTEM_KEYS else CredentialKind.USER_KEY
        return clear_part(kind, self.lookup or "")


_KEYS: Final = select(
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
    api_keys.c.last_used_address,
    api_keys.c.replaced_by,
    grants.c.role,
    users.c.username,
    users.c.email,
    credentials.c.lookup,
).select_from(
    api_keys.outerjoin(users, users.c.id == api_keys.c.user_id)
    .outerjoin(credentials, credentials.c.api_key_id == api_keys.c.id)
    .outerjoin(
        grants,
        and_(
            api_keys.c.kind == SYSTEM_KEYS,
            grants.c.subject_kind == "system_key",
            grants.c.subject_id == api_keys.c.id,
            grants.c.scope == "global",
        ),
    )
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
    statement = _KEYS.where(api_keys.c.kind == kind).order_by(api_keys.c.id.desc())
    if user_id is not None:
        statement = statement.where(api_keys.c.user_id == user_id)
    if at_most_id is not None:
        statement = statement.where(api_keys.c.id <= at_most_id)
    if limit is not None:
        statement = statement.limit(limit)
    return [ApiKey(*tuple(row)) for row in connection.execute(statement)]


def find_api_key(connection: Connection, kind: str, row_id: int) -> ApiKey | None:
    """Return one key of a kind."""
    statement = _KEYS.where(api_keys.c.kind == kind, api_keys.c.id == row_id)
    row = connection.execute(statement).first()
    return None if row is None else ApiKey(*tuple(row))


def key_of_credential(connection: Connection, lookup: str) -> tuple[ApiKey, str] | None:
    """Return the key that the clear id of a credential names, and the credential's digest."""
    statement = _KEYS.add_columns(credentials.c.digest).where(credentials.c.lookup == lookup)
    row = connection.execute(statement).first()
    return None if row is None else (ApiKey(*tuple(row)[:-1]), str(row[-1]))


def end_key_at(connection: Connection, row_id: int, ends_at: int, replaced_by: int) -> None:
    """Let a key end, and name the one that takes its place."""
    connection.execute(
        update(api_keys)
        .where(api_keys.c.id == row_id)
        .values(expires_at=ends_at, replaced_by=replaced_by)
    )
    connection.execute(
        update(credentials).where(credentials.c.api_key_id == row_id).values(expires_at=ends_at)
    )


def write_last_uses(connection: Connection, uses: Mapping[int, tuple[int, str]]) -> None:
    """Write when and from where keys were used last, by row; what is newer there stays."""
    statement = (
        update(api_keys)
        .where(api_keys.c.id == bindparam("row"))
        .where(or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("at")))
        .values(last_used_at=bindparam("at"), last_used_address=bindparam("address"))
    )
    # In one order, so that two processes that write the same rows do not wait for each other.
    rows = [{"row": row, "at": at, "address": from_} for row, (at, from_) in sorted(uses.items())]
    if rows:
        connection.execute(statement, rows)


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
