"""The REST interface of API keys.

Spec: lines 136-155.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.auth.api_keys.flow import KIND_NAMES, ApiKeys, MadeApiKey, NewApiKey
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS, ApiKey
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Door, Route
from bennu.kernel.ids import global_id
from bennu.users.model import USER
from bennu.users.routes import LIST_QUERY, page_start


class ApiKeyToCreate(msgspec.Struct):
    """A key to make; ``permissions`` and ``projects`` absent: no restriction."""

    name: str
    description: str | None = None
    expires_at: datetime | None = None
    permissions: list[str] | None = None
    projects: list[str] | None = None
    role: str | None = None


class CreateApiKeyBody(msgspec.Struct):
    """Body of the routes that make a key."""

    data: ApiKeyToCreate


def api_key_json(key: ApiKey) -> dict[str, Any]:
    """Write a key as clients expect it: absent fields are left out; never the key itself."""
    shown: dict[str, Any] = {
        "id": global_id(KIND_NAMES[key.kind], key.row_id),
        "name": key.name,
        "created_at": time_text(key.created_at),
    }
    if key.description is not None:
        shown["description"] = key.description
    if key.expires_at is not None:
        shown["expires_at"] = time_text(key.expires_at)
    if key.permissions is not None:
        shown["permissions"] = json.loads(key.permissions)
    if key.projects is not None:
        shown["projects"] = [global_id("Project", row_id) for row_id in json.loads(key.projects)]
    if key.last_used_at is not None:
        shown["last_used_at"] = time_text(key.last_used_at)
    return shown


def _with_owner(key: ApiKey) -> dict[str, Any]:
    owner = {"id": global_id(USER, key.user_id or 0), "username": key.username, "email": key.email}
    return {**api_key_json(key), "user": owner}


def _new(body: CreateApiKeyBody) -> NewApiKey:
    data = body.data
    expires = data.expires_at
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return NewApiKey(
        name=data.name,
        description=data.description,
        expires_at=expires,
        permissions=None if data.permissions is None else tuple(data.permissions),
        projects=None if data.projects is None else tuple(data.projects),
        role=data.role,
    )


def _created(made: MadeApiKey) -> Response:
    return json_answer({"data": {**api_key_json(made.key), "key": made.text.reveal()}}, 201)


class _ApiKeyHandlers:
    """Decode, call the flow, encode."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    async def list_own(self, request: Request) -> Response:
        """One's own keys."""
        found = await self._keys.list_own_keys(caller_of(request))
        return json_answer({"data": [api_key_json(key) for key in found]})

    async def create_own(self, request: Request) -> Response:
        """Make a key that acts as its maker."""
        new = _new(await json_of(request, CreateApiKeyBody))
        return _created(await self._keys.create_user_key(caller_of(request), new))

    async def delete_own(self, request: Request) -> Response:
        """Revoke a user's key."""
        await self._keys.revoke_key(caller_of(request), path_value(request, "key_id"), USER_KEYS)
        return empty_answer()

    async def list_system(self, _: Request) -> Response:
        """The keys of service accounts."""
        found = await self._keys.list_keys(SYSTEM_KEYS)
        return json_answer({"data": [api_key_json(key) for key in found]})

    async def create_system(self, request: Request) -> Response:
        """Make the key of a service account."""
        new = _new(await json_of(request, CreateApiKeyBody))
        return _created(await self._keys.create_system_key(caller_of(request), new))

    async def delete_system(self, request: Request) -> Response:
        """Revoke the key of a service account."""
        await self._keys.revoke_key(caller_of(request), path_value(request, "key_id"), SYSTEM_KEYS)
        return empty_answer()

    async def list_all(self, request: Request) -> Response:
        """The keys of all users."""
        values = query_values(request, LIST_QUERY)
        limit = int(str(values["limit"] or 100))
        start = page_start(values["cursor"], KIND_NAMES[USER_KEYS])
        found = await self._keys.list_keys(USER_KEYS, limit, start)
        more = len(found) > limit
        following = global_id(KIND_NAMES[USER_KEYS], found[limit].row_id) if more else None
        data = [_with_owner(key) for key in found[:limit]]
        return json_answer({"data": data, "next_cursor": following})


def api_key_routes(keys: ApiKeys) -> tuple[Route, ...]:
    """Return the routes of API keys."""
    handlers = _ApiKeyHandlers(keys)
    return (*_user_key_routes(handlers), *_system_key_routes(handlers))


_REVOKED: Final = (EventName.API_KEY_REVOKED,)
_MAKES: Final[dict[str, Any]] = {
    "request": CreateApiKeyBody,
    "response": dict,
    "status": 201,
    "events": (EventName.API_KEY_CREATED,),
}


def _user_key_routes(handlers: _ApiKeyHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/user/api_keys",
            handler=handlers.list_own,
            permission=Door.ACCOUNT,
            response=dict,
            summary="One's own API keys, without the keys themselves",
        ),
        Route(
            method="POST",
            path="/v1/user/api_keys",
            handler=handlers.create_own,
            permission=Door.ACCOUNT,
            summary="Make an API key that acts as its maker; shown once",
            **_MAKES,
        ),
        Route(
            method="DELETE",
            path="/v1/user/api_keys/{key_id}",
            handler=handlers.delete_own,
            permission=Door.ACCOUNT,
            summary="Revoke a user's API key",
            status=204,
            events=_REVOKED,
        ),
    )


def _system_key_routes(handlers: _ApiKeyHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/system/api_keys",
            handler=handlers.list_system,
            permission=Permission.API_KEYS_MANAGE,
            response=dict,
            summary="The API keys of service accounts",
        ),
        Route(
            method="POST",
            path="/v1/system/api_keys",
            handler=handlers.create_system,
            permission=Permission.API_KEYS_MANAGE,
            summary="Make the API key of a service account; shown once",
            **_MAKES,
        ),
        Route(
            method="DELETE",
            path="/v1/system/api_keys/{key_id}",
            handler=handlers.delete_system,
            permission=Permission.API_KEYS_MANAGE,
            summary="Revoke the API key of a service account",
            status=204,
            events=_REVOKED,
        ),
        Route(
            method="GET",
            path="/v1/users/api_keys",
            handler=handlers.list_all,
            permission=Permission.API_KEYS_MANAGE,
            response=dict,
            query=LIST_QUERY,
            summary="The API keys of all users",
        ),
    )
