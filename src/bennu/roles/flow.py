"""Roles that admins define out of the catalog; each change ends in an audit record.

Nobody makes or changes a role that allows more than they may do themselves, nor their own.

Spec: lines 259-260 (permission changes are recorded), 270.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import BUILT_IN_ROLES, Caller, Permission
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import ConflictError, DeniedError, NotFoundError
from bennu.kernel.ids import global_id, row_id_of
from bennu.roles.model import (
    ROLE,
    Role,
    built_in_role,
    clean_description,
    clean_permissions,
    clean_role_name,
)
from bennu.roles.store import (
    count_holders,
    defined_roles,
    delete_role_row,
    find_role,
    insert_role,
    update_role,
)
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch, move_security_epoch

ABOVE_OWN: Final = "Nobody makes or changes a role above their own rights"


class Unchanged:
    """Stands for "the request said nothing about it"."""


UNCHANGED: Final = Unchanged()


@dataclass(frozen=True, slots=True)
class RoleChange:
    """What a caller wants changed of a role."""

    name: str | Unchanged = UNCHANGED
    description: str | Unchanged | None = UNCHANGED
    permissions: tuple[str, ...] | Unchanged = UNCHANGED


class Roles:
    """The flows over roles."""

    def __init__(self, database: Database, clock: Clock, audit: AuditLog) -> None:
        self._database, self._clock, self._audit = database, clock, audit

    async def list_roles(self) -> list[Role]:
        """Return all roles: the built-in ones, then those that admins defined, by name."""
        return await self._database.read(lambda c: [*_built_in_roles(c), *defined_roles(c)])

    async def get_role(self, identifier: str) -> Role:
        """Return the role of a public id or a name.

        Raises:
            NotFoundError: there is none.
        """
        return await self._database.read(lambda c: _found(c, identifier))

    async def create_role(
        self, caller: Caller, name: str, description: str | None, permissions: Sequence[str]
    ) -> Role:
        """Define a role.

        Raises:
            SchemaError: a field is wrong; names it.
            DeniedError: it would allow more than the caller may do.
            ConflictError: the name is taken.
        """
        new = Role(
            clean_role_name(name), clean_permissions(permissions), clean_description(description)
        )
        _refuse_above(caller, new.permissions)

        def work(connection: Connection) -> Role:
            hold_security_epoch(connection)
            _refuse_taken(connection, new.name)
            now = to_microseconds(self._clock.now_utc())
            row_id = insert_role(connection, new, now)
            made = replace(new, row_id=row_id, created_at=now, updated_at=now)
            self._record(connection, caller, EventName.ROLE_CREATED, made, after=_shown(made))
            return made

        return await self._database.write(work)

    async def change_role(self, caller: Caller, identifier: str, change: RoleChange) -> Role:
        """Change a role; it holds for the very next request of everybody who has it.

        Raises:
            NotFoundError: there is no such role.
            SchemaError: a field is wrong; names it.
            DeniedError: it is built-in, the caller's own, or allows more than the caller may do.
            ConflictError: the name is taken.
        """
        wanted = _cleaned(change)

        def work(connection: Connection) -> Role:
            move_security_epoch(connection)
            current = self._changeable(connection, caller, identifier)
            new = replace(current, **wanted)
            _refuse_above(caller, new.permissions)
            before, after = _differences(current, new)
            if not after:
                return current
            if new.name.lower() != current.name.lower():
                _refuse_taken(connection, new.name)
            now = to_microseconds(self._clock.now_utc())
            update_role(connection, new, current.name, now)
            self._record(connection, caller, EventName.ROLE_CHANGED, new, before, after)
            return replace(new, updated_at=now)

        return await self._database.write(work)

    async def delete_role(self, caller: Caller, identifier: str) -> None:
        """Delete a role that nobody holds.

        Raises:
            NotFoundError: there is no such role.
            DeniedError: it is built-in, the caller's own, or allows more than the caller may do.
            ConflictError: users or system keys have it.
        """

        def work(connection: Connection) -> None:
            move_security_epoch(connection)
            role = self._changeable(connection, caller, identifier)
            if role.holders:
                raise ConflictError(
                    f"{role.holders} users or system keys have this role; give them another first"
                )
            delete_role_row(connection, role.row_id or 0)
            self._record(connection, caller, EventName.ROLE_DELETED, role, before=_shown(role))

        await self._database.write(work)

    def _changeable(self, connection: Connection, caller: Caller, identifier: str) -> Role:
        role = _found(connection, identifier)
        if role.is_built_in:
            raise DeniedError("Built-in roles cannot be changed or deleted")
        if role.name == caller.principal.role:
            raise DeniedError("Nobody changes their own role")
        _refuse_above(caller, role.permissions)
        return role

    def _record(
        self,
        connection: Connection,
        caller: Caller,
        name: EventName,
        role: Role,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        target = Target("role", global_id(ROLE, role.row_id or 0), role.name)
        self._audit.record(
            connection, AuditEvent(name, target=target, before=before, after=after), caller
        )


def _built_in_roles(connection: Connection) -> list[Role]:
    holders = count_holders(connection)
    return [
        Role(name, permissions, holders=holders.get(name, 0))
        for name, permissions in BUILT_IN_ROLES.items()
    ]


def _found(connection: Connection, identifier: str) -> Role:
    built_in = built_in_role(identifier)
    if built_in is not None:
        return replace(built_in, holders=count_holders(connection).get(built_in.name, 0))
    row_id = row_id_of(identifier, ROLE)
    role = find_role(connection, row_id=row_id, name=identifier)
    if role is None:
        raise NotFoundError("Role not found")
    return role


def _refuse_above(caller: Caller, permissions: frozenset[Permission]) -> None:
    missing = sorted(permissions - caller.principal.permissions)
    if missing:
        raise DeniedError(ABOVE_OWN, detail=f"missing permission {missing[0]}")


def _refuse_taken(connection: Connection, name: str) -> None:
    if find_role(connection, name=name) is not None:
        raise ConflictError("A role of this name exists already")


def _cleaned(change: RoleChange) -> dict[str, Any]:
    """Return the fields that are to change, checked."""
    wanted: dict[str, Any] = {}
    if not isinstance(change.name, Unchanged):
        wanted["name"] = clean_role_name(change.name)
    if not isinstance(change.description, Unchanged):
        wanted["description"] = clean_description(change.description)
    if not isinstance(change.permissions, Unchanged):
        wanted["permissions"] = clean_permissions(change.permissions)
    return wanted


def _shown(role: Role) -> dict[str, Any]:
    """Return what an audit record says of a role."""
    return {
        "name": role.name,
        "description": role.description,
        "permissions": sorted(role.permissions),
    }


def _differences(old: Role, new: Role) -> tuple[dict[str, Any], dict[str, Any]]:
    before, after = _shown(old), _shown(new)
    changed = [name for name in before if before[name] != after[name]]
    return {name: before[name] for name in changed}, {name: after[name] for name in changed}
