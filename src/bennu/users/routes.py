"""The REST interface of users."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Caller, Permission, PrincipalKind
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Door, Query, Route
from bennu.kernel.errors import FieldProblem, InvalidError, MalformedError, SchemaError
from bennu.kernel.ids import global_id, row_id_of
from bennu.kernel.secret import Secret
from bennu.users.flow import Users
from bennu.users.model import USER, AuthMethod, NewUser, User, UserChange

#: Erases the user of a public id; raises what the deletion of a user raises.
EraseUser = Callable[[Caller, str], Awaitable[None]]
_DELETE_QUERY: Final = (
    Query("erase", kind="boolean", meaning="true: with annotations and all that names the person"),
)
LIST_QUERY: Final = (
    Query("cursor", meaning="Where the page starts: next_cursor of the page before"),
    Query("limit", "integer", minimum=1, maximum=1000, meaning="Rows per page, 100 by default"),
)
_PAGE: Final = 100


class UserToCreate(msgspec.Struct):
    """A user to make."""

    email: str
    username: str
    role: str
    auth_method: str = "LOCAL"
    password: str | None = None
    oauth2_client_id: str | None = None
    oauth2_user_id: str | None = None


class CreateUserBody(msgspec.Struct):
    """Body of ``POST /v1/users``."""

    user: UserToCreate
    send_welcome_email: bool = True


class ChangeUserBody(msgspec.Struct):
    """Body of ``PATCH /v1/users/{id}``."""

    role: str | None = None
    username: str | None = None
    password: str | None = None
    active: bool | None = None


class ChangeOwnAccountBody(msgspec.Struct):
    """Body of ``PATCH /v1/user``."""

    current_password: str | None = None
    password: str | None = None
    username: str | None = None


def user_json(user: User) -> dict[str, Any]:
    """Write a user as clients expect it; never anything of the password."""
    shown: dict[str, Any] = {
        "id": global_id(USER, user.row_id),
        "created_at": time_text(user.created_at),
        "updated_at": time_text(user.updated_at),
        "username": user.username,
        "role": user.role,
        "auth_method": user.auth_method,
        "active": user.active,
    }
    if user.email is not None:
        shown["email"] = user.email
    if user.auth_method == AuthMethod.LOCAL:
        shown["password_needs_reset"] = user.password_needs_reset
    if user.auth_method == AuthMethod.OAUTH2:
        known = {
            "oauth2_client_id": user.client_id,
            "oauth2_user_id": user.subject,
            "profile_picture_url": user.picture,
        }
        shown |= {name: text for name, text in known.items() if text is not None}
    return shown


def page_start(cursor: object, kind: str) -> int | None:
    """Return the row id that a cursor names, or None without a cursor.

    Raises:
        InvalidError: it is no cursor of this list.
    """
    if cursor is None:
        return None
    row_id = row_id_of(str(cursor), kind)
    if row_id is None:
        raise InvalidError(f"Invalid cursor format: {str(cursor)[:100]}")
    return row_id


class _UserHandlers:
    """Decode, call the flow, encode."""

    def __init__(
        self,
        users: Users,
        forget_session: Callable[[Response], None],
        welcome: Callable[[User], None],
        erase: EraseUser | None,
    ) -> None:
        self._users, self._forget_session, self._welcome = users, forget_session, welcome
        self._erase = erase

    async def own(self, request: Request) -> Response:
        """The account that the caller acts for."""
        caller = caller_of(request)
        if caller.principal.kind is PrincipalKind.ANONYMOUS:
            return json_answer({"data": {"auth_method": "ANONYMOUS"}})
        user = await self._users.own_account(caller)
        return json_answer({"data": {} if user is None else user_json(user)})

    async def change_own(self, request: Request) -> Response:
        """Change one's own name or password."""
        body = await json_of(request, ChangeOwnAccountBody)
        current = None if body.current_password is None else Secret(body.current_password)
        change = UserChange(username=body.username, password=_secret(body.password))
        user = await self._users.change_own_account(caller_of(request), current, change)
        answer = json_answer({"data": user_json(user)})
        if change.password is not None:
            self._forget_session(answer)
        return answer

    async def listing(self, request: Request) -> Response:
        """All users, newest first."""
        values = query_values(request, LIST_QUERY)
        limit = int(str(values["limit"] or _PAGE))
        found = await self._users.list_users(limit, page_start(values["cursor"], USER))
        following = global_id(USER, found[limit].row_id) if len(found) > limit else None
        data = [user_json(user) for user in found[:limit]]
        return json_answer({"data": data, "next_cursor": following})

    async def create(self, request: Request) -> Response:
        """Make a user."""
        body = await json_of(request, CreateUserBody)
        user = await self._users.create_user(caller_of(request), _new_user(body.user))
        if body.send_welcome_email:
            self._welcome(user)
        return json_answer({"data": user_json(user)}, 201)

    async def get(self, request: Request) -> Response:
        """One user."""
        return json_answer(
            {"data": user_json(await self._users.get_user(path_value(request, "user_id")))}
        )

    async def change(self, request: Request) -> Response:
        """Change a user."""
        body = await json_of(request, ChangeUserBody)
        wanted = UserChange(body.role, body.username, _secret(body.password), body.active)
        user = await self._users.change_user(
            caller_of(request), path_value(request, "user_id"), wanted
        )
        return json_answer({"data": user_json(user)})

    async def delete(self, request: Request) -> Response:
        """Delete a user, or erase them with all that names them."""
        caller, user_id = caller_of(request), path_value(request, "user_id")
        if query_values(request, _DELETE_QUERY)["erase"] and self._erase is not None:
            await self._erase(caller, user_id)
        else:
            await self._users.delete_user(caller, user_id)
        return empty_answer()


def user_routes(
    users: Users,
    forget_session: Callable[[Response], None],
    welcome: Callable[[User], None],
    erase: EraseUser | None = None,
) -> tuple[Route, ...]:
    """Return the routes of accounts.

    Args:
        users: the flows.
        forget_session: deletes the cookies of the sessions that a new password has ended.
        welcome: tells the owner of a new account.
        erase: deletes an account with all that names the person; see privacy/deletion.py.
    """
    handlers = _UserHandlers(users, forget_session, welcome, erase)
    return (*_own_account_routes(handlers), *_account_routes(handlers))


def _own_account_routes(handlers: _UserHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/user",
            handler=handlers.own,
            permission=Door.SIGNED_IN,
            summary="The account that the caller acts for",
            response=dict,
            before_password_change=True,
        ),
        Route(
            method="PATCH",
            path="/v1/user",
            handler=handlers.change_own,
            permission=Door.PERSON,
            summary="Change one's own name or password",
            request=ChangeOwnAccountBody,
            response=dict,
            events=(EventName.PASSWORD_CHANGED, EventName.USER_CHANGED),
            before_password_change=True,
        ),
    )


def _account_routes(handlers: _UserHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/users",
            handler=handlers.listing,
            permission=Permission.USERS_READ,
            summary="All users, newest first",
            response=dict,
            query=LIST_QUERY,
        ),
        Route(
            method="POST",
            path="/v1/users",
            handler=handlers.create,
            permission=Permission.USERS_MANAGE,
            summary="Make a user",
            request=CreateUserBody,
            response=dict,
            status=201,
            events=(EventName.USER_CREATED,),
            errors=(409,),
        ),
        Route(
            method="GET",
            path="/v1/users/{user_id}",
            handler=handlers.get,
            permission=Permission.USERS_READ,
            summary="One user",
            response=dict,
        ),
        Route(
            method="PATCH",
            path="/v1/users/{user_id}",
            handler=handlers.change,
            permission=Permission.USERS_MANAGE,
            summary="Change a user's role, name, password or activity",
            request=ChangeUserBody,
            response=dict,
            events=(EventName.USER_CHANGED, EventName.ROLE_ASSIGNED),
            errors=(409,),
        ),
        Route(
            method="DELETE",
            path="/v1/users/{user_id}",
            handler=handlers.delete,
            permission=Permission.USERS_MANAGE,
            summary="Delete a user; traces and annotations stay. erase=true: see privacy",
            status=204,
            query=_DELETE_QUERY,
            events=(EventName.USER_DELETED, EventName.USER_ERASED),
            errors=(409,),
        ),
    )


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)


def _new_user(body: UserToCreate) -> NewUser:
    if body.role.upper() == "SYSTEM":
        raise MalformedError("Cannot create users with SYSTEM role")
    if body.auth_method not in set(AuthMethod):
        allowed = ", ".join(AuthMethod)
        raise SchemaError(
            FieldProblem(("body", "user", "auth_method"), f"Input should be one of {allowed}")
        )
    return NewUser(
        email=body.email,
        username=body.username,
        role=body.role,
        auth_method=body.auth_method,
        password=_secret(body.password),
        client_id=body.oauth2_client_id,
        subject=body.oauth2_user_id,
    )
