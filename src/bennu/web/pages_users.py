"""Settings, Users: list, make, change, deactivate, delete; end somebody's sessions.

Spec: lines 153, 265, 270.
"""

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Caller, Permission, require
from bennu.audit.events import EventName
from bennu.auth.sessions.overview import SessionOverview
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Route
from bennu.kernel.errors import AppError, DeniedError
from bennu.kernel.ids import global_id, row_id_of
from bennu.kernel.secret import Secret
from bennu.roles.flow import Roles
from bennu.users.flow import Users
from bennu.users.model import USER, AuthMethod, NewUser, User, UserChange
from bennu.web.client_names import client_name
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of

_PATH: Final = "/settings/users"
_ONE: Final = _PATH + "/{user_id}"
_ROWS_A_PAGE: Final = 50
_METHODS: Final = (
    ("LOCAL", "A password kept here"),
    ("LDAP", "The directory"),
    ("OAUTH2", "An identity provider"),
)


@dataclass(frozen=True, slots=True)
class UserFlows:
    """The flows behind these pages."""

    users: Users
    roles: Roles
    overview: SessionOverview


class _UserPages:
    def __init__(self, pages: Pages, flows: UserFlows) -> None:
        self._pages, self._flows = pages, flows

    async def listing(self, request: Request) -> Response:
        """All accounts; the form for a new one when it is asked for."""
        return await self._show_all(request, form={} if "new" in request.query_params else None)

    async def _show_all(
        self,
        request: Request,
        status: int = 200,
        *,
        form: dict[str, str] | None = None,
        error: AppError | None = None,
    ) -> Response:
        cursor = row_id_of(request.query_params.get("cursor", ""), USER)
        found = await self._flows.users.list_users(_ROWS_A_PAGE, cursor)
        following = found[_ROWS_A_PAGE] if len(found) > _ROWS_A_PAGE else None
        return self._pages.show(
            request,
            "users.html",
            status,
            rows=[_shown(user, caller_of(request)) for user in found[:_ROWS_A_PAGE]],
            next_cursor=None if following is None else global_id(USER, following.row_id),
            form=form,
            roles=[role.name for role in await self._flows.roles.list_roles()],
            methods=_METHODS,
            may_manage=caller_of(request).principal.may(Permission.USERS_MANAGE),
            errors={} if error is None else problems_of(error),
        )

    def _may_see(self, request: Request) -> bool:
        """Whether a refused form may show its page again, with what it tells of accounts."""
        return caller_of(request).principal.may(Permission.USERS_READ)

    async def create(self, request: Request) -> Response:
        """Make an account; its first password is good for choosing another."""
        form = await self._pages.form(request)
        try:
            user = await self._flows.users.create_user(caller_of(request), _new_user(form))
        except AppError as error:
            if not self._may_see(request):
                raise
            typed = {name: form.text(name) for name in ("email", "username", "role", "auth_method")}
            return await self._show_all(request, status_of(error), form=typed, error=error)
        return self._pages.go(f"{_PATH}/{global_id(USER, user.row_id)}", done="created")

    async def one(self, request: Request) -> Response:
        """One account, with its sessions."""
        return await self._show_one(request)

    async def _show_one(
        self, request: Request, status: int = 200, error: AppError | None = None
    ) -> Response:
        caller, identifier = caller_of(request), path_value(request, "user_id")
        user = await self._flows.users.get_user(identifier)
        may_manage = caller.principal.may(Permission.USERS_MANAGE)
        sessions = []
        if may_manage and not user.is_system:
            sessions = [
                {"client": client_name(s.user_agent), "address": s.address, "at": s.last_used_at}
                for s in await self._flows.overview.list_sessions_of(identifier)
            ]
        return self._pages.show(
            request,
            "user.html",
            status,
            user=user,
            shown=_shown(user, caller),
            sessions=sessions,
            roles=[role.name for role in await self._flows.roles.list_roles()],
            may_manage=may_manage and not user.is_system,
            is_self=user.row_id == caller.principal.user_id,
            errors={} if error is None else problems_of(error),
        )

    async def change(self, request: Request) -> Response:
        """Change the name, the role, the activity or the password; what is empty stays."""
        form = await self._pages.form(request)
        identifier = path_value(request, "user_id")
        user = await self._flows.users.get_user(identifier)
        try:
            await self._flows.users.change_user(
                caller_of(request), identifier, _change_of(form, user)
            )
        except AppError as error:
            if not self._may_see(request):
                raise
            return await self._show_one(request, status_of(error), error)
        return self._pages.go(f"{_PATH}/{identifier}", done="changed")

    async def end_sessions(self, request: Request) -> Response:
        """End all sessions of an account."""
        await self._pages.form(request)
        identifier = path_value(request, "user_id")
        await self._flows.overview.end_sessions_of(caller_of(request), identifier)
        return self._pages.go(f"{_PATH}/{identifier}", done="ended")

    async def confirm_deleting(self, request: Request) -> Response:
        """Ask, naming what will be lost, those who may see it."""
        require(caller_of(request).principal, Permission.USERS_READ)
        return await self._show_deleting(request)

    async def _show_deleting(
        self, request: Request, status: int = 200, error: AppError | None = None
    ) -> Response:
        user = await self._flows.users.get_user(path_value(request, "user_id"))
        if user.is_system:
            raise DeniedError("The system user cannot be deleted")
        return self._pages.show(
            request,
            "user_delete.html",
            status,
            user=user,
            identifier=path_value(request, "user_id"),
            errors={} if error is None else problems_of(error),
        )

    async def delete(self, request: Request) -> Response:
        """Delete an account."""
        await self._pages.form(request)
        try:
            await self._flows.users.delete_user(caller_of(request), path_value(request, "user_id"))
        except AppError as error:
            if not self._may_see(request):
                raise
            return await self._show_deleting(request, status_of(error), error)
        return self._pages.go(_PATH, done="deleted")


def _shown(user: User, caller: Caller) -> dict[str, Any]:
    return {
        "id": global_id(USER, user.row_id),
        "username": user.username,
        "email": user.email or "",
        "role": user.role,
        "method": dict(_METHODS)[user.auth_method],
        "active": user.active,
        "waits": user.auth_method == AuthMethod.LOCAL and user.password_needs_reset,
        "is_system": user.is_system,
        "is_self": user.row_id == caller.principal.user_id,
        "created_at": user.created_at,
    }


def _new_user(form: Form) -> NewUser:
    password = form.raw("password")
    return NewUser(
        email=form.text("email"),
        username=form.text("username"),
        role=form.text("role"),
        auth_method=form.text("auth_method") or AuthMethod.LOCAL,
        password=Secret(password) if password else None,
    )


def _change_of(form: Form, user: User) -> UserChange:
    password, username, role = form.raw("password"), form.text("username"), form.text("role")
    active = form.is_ticked("active")
    return UserChange(
        role=role if role and role != user.role else None,
        username=username if username != user.username else None,
        password=Secret(password) if password else None,
        active=active if active != user.active else None,
    )


def user_page_routes(pages: Pages, flows: UserFlows) -> tuple[Route, ...]:
    """Return the routes of the pages of accounts."""
    of = _UserPages(pages, flows)
    table = (*_reading_routes(of), *_changing_routes(of))
    return tuple(pages.as_page(route) for route in table)


def _reading_routes(of: _UserPages) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path=_PATH,
            handler=of.listing,
            permission=Permission.USERS_READ,
            summary="The page of accounts",
        ),
        Route(
            method="GET",
            path=_ONE,
            handler=of.one,
            permission=Permission.USERS_READ,
            summary="The page of one account",
        ),
        Route(
            method="GET",
            path=_ONE + "/delete",
            handler=of.confirm_deleting,
            permission=Permission.USERS_MANAGE,
            summary="The page that asks before an account is deleted",
        ),
    )


def _changing_routes(of: _UserPages) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path=_PATH,
            handler=of.create,
            permission=Permission.USERS_MANAGE,
            summary="Make an account by the form of the page",
            status=303,
            events=(EventName.USER_CREATED,),
        ),
        Route(
            method="POST",
            path=_ONE,
            handler=of.change,
            permission=Permission.USERS_MANAGE,
            summary="Change an account by the form of the page",
            status=303,
            events=(EventName.USER_CHANGED, EventName.ROLE_ASSIGNED),
        ),
        Route(
            method="POST",
            path=_ONE + "/end-sessions",
            handler=of.end_sessions,
            permission=Permission.USERS_MANAGE,
            summary="End the sessions of an account by the form of the page",
            status=303,
            events=(EventName.SESSION_ENDED,),
        ),
        Route(
            method="POST",
            path=_ONE + "/delete",
            handler=of.delete,
            permission=Permission.USERS_MANAGE,
            summary="Delete an account by the form of the page",
            status=303,
            events=(EventName.USER_DELETED,),
        ),
    )
