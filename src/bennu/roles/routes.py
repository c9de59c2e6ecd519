"""``/v1/roles`` and ``GET /v1/permissions``.

Spec: line 270.
"""

from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import PERMISSION_MEANINGS, Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Door, Route
from bennu.kernel.ids import global_id
from bennu.roles.flow import UNCHANGED, RoleChange, Roles
from bennu.roles.model import ROLE, Role


class CreateRoleBody(msgspec.Struct, forbid_unknown_fields=True):
    """A role to define, out of the permissions of the catalog."""

    name: str
    permissions: list[str]
    description: str | None = None


class ChangeRoleBody(msgspec.Struct, forbid_unknown_fields=True):
    """What to change of a role; an absent field stays as it is."""

    name: str | UnsetType = UNSET
    permissions: list[str] | UnsetType = UNSET
    description: str | UnsetType | None = UNSET


def role_json(role: Role) -> dict[str, Any]:
    """Write a role; a built-in one has no id and no times."""
    shown: dict[str, Any] = {
        "name": role.name,
        "description": role.description,
        "permissions": sorted(role.permissions),
        "built_in": role.is_built_in,
        "holders": role.holders,
    }
    if role.row_id is not None:
        shown["id"] = global_id(ROLE, role.row_id)
        shown["created_at"] = time_text(role.created_at or 0)
        shown["updated_at"] = time_text(role.updated_at or 0)
    return shown


class _RoleHandlers:
    """Decode, call the flow, encode."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    async def catalog(self, request: Request) -> Response:
        """Every permission, and whether the caller has it."""
        own = caller_of(request).principal.permissions
        data = [
            {"name": str(p), "meaning": PERMISSION_MEANINGS[p], "granted": p in own}
            for p in Permission
        ]
        return json_answer({"data": data})

    async def listing(self, _: Request) -> Response:
        """All roles."""
        return json_answer({"data": [role_json(role) for role in await self._roles.list_roles()]})

    async def create(self, request: Request) -> Response:
        """Define a role."""
        body = await json_of(request, CreateRoleBody)
        role = await self._roles.create_role(
            caller_of(request), body.name, body.description, body.permissions
        )
        return json_answer({"data": role_json(role)}, HTTPStatus.CREATED)

    async def get(self, request: Request) -> Response:
        """One role."""
        return json_answer(
            {"data": role_json(await self._roles.get_role(path_value(request, "role")))}
        )

    async def change(self, request: Request) -> Response:
        """Change a role."""
        body = await json_of(request, ChangeRoleBody)
        change = RoleChange(
            name=UNCHANGED if isinstance(body.name, UnsetType) else body.name,
            description=UNCHANGED if isinstance(body.description, UnsetType) else body.description,
            permissions=(
                UNCHANGED if isinstance(body.permissions, UnsetType) else tuple(body.permissions)
            ),
        )
        role = await self._roles.change_role(
            caller_of(request), path_value(request, "role"), change
        )
        return json_answer({"data": role_json(role)})

    async def delete(self, request: Request) -> Response:
        """Delete a role."""
        await self._roles.delete_role(caller_of(request), path_value(request, "role"))
        return empty_answer()


def role_routes(roles: Roles) -> tuple[Route, ...]:
    """Return the routes of roles and of the catalog of permissions."""
    handlers = _RoleHandlers(roles)
    return (
        Route(
            method="GET",
            path="/v1/permissions",
            handler=handlers.catalog,
            permission=Door.SIGNED_IN,
            summary="Every permission, and whether the caller has it",
            response=dict,
        ),
        *_reading_routes(handlers),
        *_changing_routes(handlers),
    )


def _reading_routes(handlers: _RoleHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/roles",
            handler=handlers.listing,
            permission=Permission.USERS_READ,
            summary="All roles: the built-in ones and those that admins defined",
            response=dict,
        ),
        Route(
            method="GET",
            path="/v1/roles/{role}",
            handler=handlers.get,
            permission=Permission.USERS_READ,
            summary="One role, by id or name",
            response=dict,
            errors=(404,),
        ),
    )


def _changing_routes(handlers: _RoleHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/v1/roles",
            handler=handlers.create,
            permission=Permission.ROLES_MANAGE,
            summary="Define a role; it allows nothing that its maker may not do",
            request=CreateRoleBody,
            response=dict,
            status=HTTPStatus.CREATED,
            events=(EventName.ROLE_CREATED,),
            errors=(409,),
        ),
        Route(
            method="PATCH",
            path="/v1/roles/{role}",
            handler=handlers.change,
            permission=Permission.ROLES_MANAGE,
            summary="Change a role; it holds at once for everybody who has it",
            request=ChangeRoleBody,
            response=dict,
            events=(EventName.ROLE_CHANGED,),
            errors=(404, 409),
        ),
        Route(
            method="DELETE",
            path="/v1/roles/{role}",
            handler=handlers.delete,
            permission=Permission.ROLES_MANAGE,
            summary="Delete a role that nobody has",
            status=204,
            events=(EventName.ROLE_DELETED,),
            errors=(404, 409),
        ),
    )
