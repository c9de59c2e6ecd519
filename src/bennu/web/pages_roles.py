"""Settings, Roles: the built-in ones, and those that admins define out of the catalog.

Spec: line 270.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Route
from bennu.kernel.errors import AppError
from bennu.roles.flow import RoleChange, Roles
from bennu.roles.model import Role
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of
from bennu.web.permission_choices import MEANINGS, permission_choices

_PATH: Final = "/settings/roles"
_ONE: Final = _PATH + "/{role}"


class _RolePages:
    def __init__(self, pages: Pages, roles: Roles) -> None:
        self._pages, self._roles = pages, roles

    async def listing(self, request: Request) -> Response:
        """All roles; the form for a new one when it is asked for."""
        form = self._form(request) if "new" in request.query_params else None
        return await self._show_all(request, form=form)

    async def _show_all(
        self,
        request: Request,
        status: int = 200,
        *,
        form: dict[str, object] | None = None,
        error: AppError | None = None,
    ) -> Response:
        return self._pages.show(
            request,
            "roles.html",
            status,
            roles=await self._roles.list_roles(),
            catalog=tuple(Permission),
            meanings=MEANINGS,
            form=form,
            errors={} if error is None else problems_of(error),
        )

    def _form(
        self, request: Request, sent: Form | None = None, role: Role | None = None
    ) -> dict[str, object]:
        own = caller_of(request).principal.permissions
        if sent is not None:
            ticked = sent.many("permissions")
            return {
                "name": sent.text("name"),
                "description": sent.text("description"),
                "groups": permission_choices(own, ticked),
            }
        return {
            "name": "" if role is None else role.name,
            "description": "" if role is None else role.description or "",
            "groups": permission_choices(own, () if role is None else role.permissions),
        }

    async def create(self, request: Request) -> Response:
        """Define a role."""
        form = await self._pages.form(request)
        try:
            await self._roles.create_role(
                caller_of(request),
                form.text("name"),
                form.optional("description"),
                form.many("permissions"),
            )
        except AppError as error:
            shown = self._form(request, form)
            return await self._show_all(request, status_of(error), form=shown, error=error)
        return self._pages.go(_PATH, done="created")

    async def one(self, request: Request) -> Response:
        """The form of one role that admins defined."""
        return await self._show_one(request)

    async def _show_one(
        self,
        request: Request,
        status: int = 200,
        sent: Form | None = None,
        error: AppError | None = None,
    ) -> Response:
        role = await self._roles.get_role(path_value(request, "role"))
        return self._pages.show(
            request,
            "role.html",
            status,
            role=role,
            form=self._form(request, sent, role),
            errors={} if error is None else problems_of(error),
        )

    async def change(self, request: Request) -> Response:
        """Change a role; it holds for the very next request of its holders."""
        form = await self._pages.form(request)
        change = RoleChange(
            form.text("name"), form.optional("description"), form.many("permissions")
        )
        try:
            await self._roles.change_role(caller_of(request), path_value(request, "role"), change)
        except AppError as error:
            return await self._show_one(request, status_of(error), form, error)
        return self._pages.go(_PATH, done="changed")

    async def delete(self, request: Request) -> Response:
        """Delete a role that nobody holds."""
        await self._pages.form(request)
        try:
            await self._roles.delete_role(caller_of(request), path_value(request, "role"))
        except AppError as error:
            return await self._show_one(request, status_of(error), error=error)
        return self._pages.go(_PATH, done="deleted")


def role_page_routes(pages: Pages, roles: Roles) -> tuple[Route, ...]:
    """Return the routes of the pages of roles."""
    of = _RolePages(pages, roles)
    table = (
        Route(
            method="GET",
            path=_PATH,
            handler=of.listing,
            permission=Permission.ROLES_MANAGE,
            summary="The page of roles",
        ),
        Route(
            method="POST",
            path=_PATH,
            handler=of.create,
            permission=Permission.ROLES_MANAGE,
            summary="Define a role by the form of the page",
            status=303,
            events=(EventName.ROLE_CREATED,),
        ),
        Route(
            method="GET",
            path=_ONE,
            handler=of.one,
            permission=Permission.ROLES_MANAGE,
            summary="The page of one role",
        ),
        Route(
            method="POST",
            path=_ONE,
            handler=of.change,
            permission=Permission.ROLES_MANAGE,
            summary="Change a role by the form of the page",
            status=303,
            events=(EventName.ROLE_CHANGED,),
        ),
        Route(
            method="POST",
            path=_ONE + "/delete",
            handler=of.delete,
            permission=Permission.ROLES_MANAGE,
            summary="Delete a role by the form of the page",
            status=303,
            events=(EventName.ROLE_DELETED,),
        ),
    )
    return tuple(pages.as_page(route) for route in table)
