"""Who may touch a key, and what the audit trail says of one.

Spec: lines 152-155, 259-260.
"""

import json
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import Caller, Permission
from bennu.audit.events import Target
from bennu.auth.api_keys.making import found_key
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS, ApiKey
from bennu.auth.sessions.store import session_exists
from bennu.auth.settings import AuthSettings
from bennu.kernel.clock import from_microseconds, to_microseconds
from bennu.kernel.errors import DeniedError, InvalidError, UnauthenticatedError
from bennu.kernel.ids import global_id, row_id_of
from bennu.storage.used_once import OneUse, UsedUpError, use_once

KEYS_CANNOT_CREATE: Final = "API keys cannot create API keys"
KEYS_CANNOT_CHANGE: Final = "API keys cannot change API keys"
KEYS_CANNOT_LIST: Final = "API keys can list the keys of their owner only"
KIND_NAMES: Final = {USER_KEYS: "UserApiKey", SYSTEM_KEYS: "SystemApiKey"}


def refuse_keys(caller: Caller, text: str) -> None:
    """Refuse what no key may do, whatever its permissions.

    Raises:
        DeniedError: a key asked.
    """
    if caller.principal.is_key:
        raise DeniedError(text, detail="not with an API key")


def refuse_ended_session(connection: Connection, caller: Caller) -> None:
    """Make no key for a session that was ended while its request was on the way.

    Raises:
        UnauthenticatedError: it has ended.
    """
    session_id = caller.principal.session_id
    if session_id is not None and not session_exists(connection, session_id):
        raise UnauthenticatedError("Invalid token", detail="the session has ended")


def refuse_second_use(
    connection: Connection, one: OneUse | None, now: datetime, settings: AuthSettings
) -> None:
    """Use up the form that asks for a key; None where no form does.

    It is remembered as long as its session can live, after which its token is refused anyway.

    Raises:
        UsedUpError: it was sent before, and the key was made then.
    """
    if one is None:
        return
    at, end = to_microseconds(now), to_microseconds(now + settings.session_absolute_lifetime)
    if not use_once(connection, one, expires_at=end, now=at):
        raise UsedUpError("The key was made already")


def key_row_of(identifier: str, kind: str) -> int:
    """Return the row that the public id of a key names.

    Raises:
        InvalidError: it is no public id of a key of this kind.
    """
    row_id = row_id_of(identifier, KIND_NAMES[kind])
    if row_id is None:
        raise InvalidError("Invalid API key id")
    return row_id


def key_id_of(key: ApiKey) -> str:
    """Return the public id of a key."""
    return global_id(KIND_NAMES[key.kind], key.row_id)


def known_to(caller: Caller, key: ApiKey | None) -> ApiKey:
    """Return the key if it is the caller's own, or the caller may manage all keys.

    Raises:
        NotFoundError: it is not, or there is none.
    """
    principal = caller.principal
    is_own = key is not None and key.user_id is not None and key.user_id == principal.user_id
    return found_key(key if is_own or principal.may(Permission.API_KEYS_MANAGE) else None)


def target_of(key: ApiKey) -> Target:
    """Return the key as the target of an audit event."""
    return Target("api_key", key_id_of(key), key.name)


def recorded_fields(key: ApiKey) -> dict[str, Any]:
    """Return what an audit record says of a key."""
    ends = None if key.expires_at is None else from_microseconds(key.expires_at).isoformat()
    projects = None if key.projects is None else json.loads(key.projects)
    return {
        "kind": key.kind,
        "role": key.role,
        "permissions": None if key.permissions is None else json.loads(key.permissions),
        "projects": projects and [global_id("Project", row_id) for row_id in projects],
        "expires_at": ends,
    }
