"""Rows of the roles that admins define, and who holds a role."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from bennu.access import BUILT_IN_ROLES, Permission
from bennu.roles.model import Role
from bennu.storage.schema import grants, roles

_COLUMNS: Final = (
    roles.c.name,
    roles.c.permissions,
    roles.c.description,
    roles.c.id,
    roles.c.created_at,
    roles.c.updated_at,
)
_HOLDERS: Final = select(grants.c.role, func.count()).group_by(grants.c.role)


def permissions_of_role(connection: Connection, role: str) -> frozenset[Permission] | None:
    """Return what a role may do, or None when there is no such role."""
    built_in = BUILT_IN_ROLES.get(role)
    if built_in is not None:
        return built_in
    text = connection.execute(select(roles.c.permissions).where(roles.c.name == role)).scalar()
    return None if text is None else _permissions(str(text))


def role_name_of(connection: Connection, text: str) -> str | None:
    """Return the role's own spelling of a name given in any case, or None when there is none."""
    if text.upper() in BUILT_IN_ROLES:
        return text.upper()
    statement = select(roles.c.name).where(func.lower(roles.c.name) == text.lower())
    name = connection.execute(statement).scalar()
    return None if name is None else str(name)


def find_role(connection: Connection, *, row_id: int | None = None, name: str = "") -> Role | None:
    """Return a role that admins defined, by its row id or by its name in any case."""
    known = roles.c.id == row_id if row_id is not None else func.lower(roles.c.name) == name.lower()
    row = connection.execute(_roles().where(known)).first()
    return None if row is None else _role(row, count_holders(connection))


def defined_roles(connection: Connection) -> list[Role]:
    """Return the roles that admins defined, by name."""
    holders = count_holders(connection)
    return [_role(row, holders) for row in connection.execute(_roles().order_by(roles.c.name))]


def count_holders(connection: Connection) -> Mapping[str, int]:
    """Return how many users and system keys have each role."""
    return {str(row[0]): int(row[1]) for row in connection.execute(_HOLDERS)}


def insert_role(connection: Connection, role: Role, now: int) -> int:
    """Insert a role; return its row id."""
    values = {**_values(role), "created_at": now, "updated_at": now}
    return int(
        connection.execute(insert(roles).values(**values).returning(roles.c.id)).scalar_one()
    )


def update_role(connection: Connection, role: Role, old_name: str, now: int) -> None:
    """Change a role; who holds it keeps it under its new name."""
    statement = update(roles).where(roles.c.id == role.row_id)
    connection.execute(statement.values(**_values(role), updated_at=now))
    if role.name != old_name:
        connection.execute(update(grants).where(grants.c.role == old_name).values(role=role.name))


def delete_role_row(connection: Connection, row_id: int) -> None:
    """Delete a role that nobody holds."""
    connection.execute(delete(roles).where(roles.c.id == row_id))


def _roles() -> Select[Any]:
    return select(*_COLUMNS)


def _role(row: Row[Any], holders: Mapping[str, int]) -> Role:
    held = holders.get(str(row.name), 0)
    return Role(
        row.name,
        _permissions(row.permissions),
        row.description,
        row.id,
        row.created_at,
        row.updated_at,
        held,
    )


def _values(role: Role) -> dict[str, Any]:
    return {
        "name": role.name,
        "description": role.description,
        "permissions": _json(role.permissions),
    }


def _json(permissions: Iterable[Permission]) -> str:
    return json.dumps(sorted(permissions))


def _permissions(text: str) -> frozenset[Permission]:
    """Read what is stored; what a later version knew and this one does not allows nothing."""
    known = {str(permission) for permission in Permission}
    return frozenset(Permission(name) for name in json.loads(text) if name in known)
