"""The REST interface of API keys.

Spec: lines 136-155.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.auth.api_keys.authority import (
    KEYS_CANNOT_CHANGE,
    KEYS_CANNOT_CREATE,
    KEYS_CANNOT_LIST,
    KIND_NAMES,
    key_id_of,
)
from bennu.auth.api_keys.flow import ApiKeys, NewApiKey
from bennu.auth.api_keys.making import MadeApiKey
from bennu.auth.api_keys.rotation import KeyRotation
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS, ApiKey
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Door, Route
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.users.model import USER
from bennu.users.routes import LIST_QUERY, page_start

#: Thirty days: whoever needs longer has not begun to roll the new key out.
MOST_OVERLAP_MINUTES: Final = 43_200


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


class RotateApiKeyBody(msgspec.Struct):
    """Body of the routes that rotate a key; the old one ends after so many minutes."""

    overlap_minutes: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_MINUTES)]


class IdentifyApiKeyBody(msgspec.Struct):
    """Body of ``POST /v1/api_keys/identify``."""

    key: str


def api_key_json(key: ApiKey) -> dict[str, Any]:
    """Write a key as clients expect it: absent fields are left out; never the key itself."""
    shown: dict[str, Any] = {
        "id": key_id_of(key),
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
    if key.role is not None:
        shown["role"] = key.role
    if key.last_used_at is not None:
        shown["last_used_at"] = time_text(key.last_used_at)
        shown["last_used_address"] = key.last_used_address
    if key.replaced_by is not None:
        shown["replaced_by"] = global_id(KIND_NAMES[key.kind], key.replaced_by)
    return shown


def owned_key_json(key: ApiKey) -> dict[str, Any]:
    """Write a key with its owner, if a person owns it."""
    if key.user_id is None:
        return api_key_json(key)
    owner = {"id": global_id(USER, key.user_id), "username": key.username, "email": key.email}
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

    def __init__(self, keys: ApiKeys, rotation: KeyRotation) -> None:
        self._keys, self._rotation = keys, rotation

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

    async def rotate_own(self, request: Request) -> Response:
        """Make a key like one's own other one, which ends."""
        return await self._rotate(request, USER_KEYS)

    async def rotate_system(self, request: Request) -> Response:
        """Make a key like that of a service account, which ends."""
        return await self._rotate(request, SYSTEM_KEYS)

    async def _rotate(self, request: Request, kind: str) -> Response:
        overlap = timedelta(minutes=(await json_of(request, RotateApiKeyBody)).overlap_minutes)
        identifier = path_value(request, "key_id")
        made = await self._rotation.rotate_key(caller_of(request), identifier, kind, overlap)
        return _created(made)

    async def identify(self, request: Request) -> Response:
        """Whose key it is that was found somewhere."""
        body = await json_of(request, IdentifyApiKeyBody)
        key = await self._keys.identify_key(caller_of(request), Secret(body.key))
        return json_answer({"data": {"kind": key.kind, **owned_key_json(key)}})

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
        data = [owned_key_json(key) for key in found[:limit]]
        return json_answer({"data": data, "next_cursor": following})


def api_key_routes(keys: ApiKeys, rotation: KeyRotation) -> tuple[Route, ...]:
    """Return the routes of API keys."""
    handlers = _ApiKeyHandlers(keys, rotation)
    return (
        *_user_key_routes(handlers),
        *_system_key_routes(handlers),
        Route(
            method="GET",
            path="/v1/users/api_keys",
            handler=handlers.list_all,
            permission=Permission.API_KEYS_MANAGE,
            refuses_keys=KEYS_CANNOT_LIST,
            response=dict,
            query=LIST_QUERY,
            summary="The API keys of all users",
        ),
        Route(
            method="POST",
            path="/v1/api_keys/identify",
            handler=handlers.identify,
            permission=Permission.API_KEYS_MANAGE,
            refuses_keys=KEYS_CANNOT_LIST,
            request=IdentifyApiKeyBody,
            response=dict,
            events=(EventName.API_KEY_IDENTIFIED,),
            errors=(404,),
            summary="Whose key it is that was found somewhere",
        ),
    )


_MAKES: Final[dict[str, Any]] = {
    "request": CreateApiKeyBody,
    "response": dict,
    "status": 201,
    "events": (EventName.API_KEY_CREATED,),
    "refuses_keys": KEYS_CANNOT_CREATE,
}
_ROTATES: Final[dict[str, Any]] = {
    "request": RotateApiKeyBody,
    "response": dict,
    "status": 201,
    "events": (EventName.API_KEY_ROTATED,),
    "refuses_keys": KEYS_CANNOT_CREATE,
    "errors": (404, 409),
}
_REVOKES: Final[dict[str, Any]] = {
    "status": 204,
    "events": (EventName.API_KEY_REVOKED,),
    "refuses_keys": KEYS_CANNOT_CHANGE,
    "errors": (404,),
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
            permission=Door.PERSON,
            summary="Make an API key that acts as its maker; shown once",
            **_MAKES,
        ),
        Route(
            method="DELETE",
            path="/v1/user/api_keys/{key_id}",
            handler=handlers.delete_own,
            permission=Door.ACCOUNT,
            summary="Revoke a user's API key",
            **_REVOKES,
        ),
        Route(
            method="POST",
            path="/v1/user/api_keys/{key_id}/rotate",
            handler=handlers.rotate_own,
            permission=Door.PERSON,
            summary="Replace one's own API key; both work until the overlap is over",
            **_ROTATES,
        ),
    )


def _system_key_routes(handlers: _ApiKeyHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/system/api_keys",
            handler=handlers.list_system,
            permission=Permission.API_KEYS_MANAGE,
            refuses_keys=KEYS_CANNOT_LIST,
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
            **_REVOKES,
        ),
        Route(
            method="POST",
            path="/v1/system/api_keys/{key_id}/rotate",
            handler=handlers.rotate_system,
            permission=Permission.API_KEYS_MANAGE,
            summary="Replace the API key of a service account; both work until the overlap is over",
            **_ROTATES,
        ),
    )
