"""API keys: made by people, shown once, revoked at once.

A user key acts as its owner, live, within its own permissions; a system key is a service account
with a role. A key never makes or changes a key.

Spec: lines 134-155, 259. Decision 7.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bennu.access import SYSTEM, Caller, Permission, PrincipalKind
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.auth.api_keys.store import (
    SYSTEM_KEYS,
    USER_KEYS,
    ApiKey,
    delete_api_key_row,
    find_api_key,
    ids_json,
    insert_api_key,
    newest_api_keys,
    project_rows,
)
from bennu.auth.credential import CredentialKind, make_credential
from bennu.auth.sessions.store import insert_credential, session_exists
from bennu.auth.settings import AuthSettings
from bennu.encryption.cipher import Cipher
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import (
    DeniedError,
    FieldProblem,
    InvalidError,
    NotFoundError,
    SchemaError,
    UnauthenticatedError,
)
from bennu.kernel.ids import Entropy, global_id, row_id_of
from bennu.kernel.secret import Secret
from bennu.roles.store import permissions_of_role, role_name_of
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch, move_security_epoch

KEYS_CANNOT: Final = "API keys cannot create API keys"
KIND_NAMES: Final = {USER_KEYS: "UserApiKey", SYSTEM_KEYS: "SystemApiKey"}
_NAME_LIMIT: Final = 256
_DESCRIPTION_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """What a caller gives to make a key; None for permissions or projects means no restriction."""

    name: str
    description: str | None = None
    expires_at: datetime | None = None
    permissions: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class MadeApiKey:
    """A new key: what is kept, and the key itself, shown this once."""

    key: ApiKey
    text: Secret


class ApiKeys:
    """The flows over API keys."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        cipher: Cipher,
        audit: AuditLog,
        settings: AuthSettings,
    ) -> None:
        self._database, self._clock, self._entropy = database, clock, entropy
        self._cipher, self._audit, self._settings = cipher, audit, settings

    async def create_user_key(self, caller: Caller, new: NewApiKey) -> MadeApiKey:
        """Make a key that acts as its maker.

        Raises:
            DeniedError: a key or the admin secret asked, or more was asked than the maker may do.
            SchemaError: a field is wrong; names it.
        """
        if not caller.principal.is_session:
            raise DeniedError(KEYS_CANNOT, detail="not a session")
        if new.role is not None:
            raise SchemaError(
                FieldProblem(("body", "data", "role"), "Only system keys have a role of their own")
            )
        return await self._create(caller, new, USER_KEYS)

    async def create_system_key(self, caller: Caller, new: NewApiKey) -> MadeApiKey:
        """Make the key of a service account.

        Raises:
            DeniedError: a key asked, or more was asked than the maker may do.
            SchemaError: a field is wrong; names it.
        """
        kinds = {PrincipalKind.ADMIN_SECRET, PrincipalKind.CONSOLE}
        if not caller.principal.is_session and caller.principal.kind not in kinds:
            raise DeniedError(KEYS_CANNOT, detail="not a session")
        return await self._create(caller, new, SYSTEM_KEYS)

    async def _create(self, caller: Caller, new: NewApiKey, kind: str) -> MadeApiKey:
        name, description = _clean_name(new.name), _clean_description(new.description)
        expires_at = self._expiry(new.expires_at)
        is_user = kind == USER_KEYS
        credential = make_credential(
            CredentialKind.USER_KEY if is_user else CredentialKind.SYSTEM_KEY, self._entropy
        )

        def work(connection: Connection) -> MadeApiKey:
            hold_security_epoch(connection)
            _refuse_ended_session(connection, caller)
            now = to_microseconds(self._clock.now_utc())
            role = None if is_user else _clean_role(connection, caller, new.role)
            allowed = None if role is None else permissions_of_role(connection, role)
            permissions = _clean_permissions(caller, new.permissions, allowed)
            restricted = _clean_projects(connection, new.projects)
            owner = caller.principal.user_id if is_user else None
            values = {
                "kind": kind,
                "user_id": owner,
                "created_by": caller.principal.user_id,
                "name": name,
                "description": description,
                "permissions": permissions,
                "projects": ids_json(restricted),
                "created_at": now,
                "expires_at": expires_at,
            }
            row_id = insert_api_key(connection, values, role)
            digest = self._cipher.seal(credential.digest)
            more = {
                "user_id": owner,
                "api_key_id": row_id,
                "created_at": now,
                "expires_at": expires_at,
            }
            insert_credential(connection, credential, digest, more)
            made = _found(find_api_key(connection, kind, row_id))
            after = {"kind": kind, "role": role, "permissions": permissions}
            target = Target("api_key", global_id(KIND_NAMES[kind], row_id), name)
            event = AuditEvent(EventName.API_KEY_CREATED, target=target, after=after)
            self._audit.record(connection, event, caller)
            return MadeApiKey(made, credential.text)

        return await self._database.write(work)

    def _expiry(self, wanted: datetime | None) -> int | None:
        now = self._clock.now_utc()
        longest = self._settings.api_key_max_lifetime
        if wanted is not None and wanted <= now:
            raise SchemaError(
                FieldProblem(("body", "data", "expires_at"), "Input should be in the future")
            )
        if longest is None:
            return None if wanted is None else to_microseconds(wanted)
        if wanted is not None and wanted > now + longest:
            raise SchemaError(
                FieldProblem(
                    ("body", "data", "expires_at"),
                    f"Input should be at most {longest.days} days from now "
                    "(PHOENIX_API_KEY_MAX_LIFETIME_DAYS)",
                )
            )
        return to_microseconds(wanted or now + longest)

    async def list_own_keys(self, caller: Caller) -> list[ApiKey]:
        """Return the keys of the account that the caller acts for."""
        user_id = caller.principal.user_id
        if user_id is None:
            return []
        return await self._database.read(lambda c: newest_api_keys(c, USER_KEYS, user_id))

    async def list_keys(
        self, kind: str, limit: int | None = None, at_most_id: int | None = None
    ) -> list[ApiKey]:
        """Return all keys of a kind, newest first; one more than ``limit`` when there are more."""
        most = None if limit is None else limit + 1
        return await self._database.read(lambda c: newest_api_keys(c, kind, None, most, at_most_id))

    async def revoke_key(self, caller: Caller, identifier: str, kind: str) -> None:
        """Delete a key; the very next request with it is refused.

        Raises:
            DeniedError: a key asked.
            InvalidError: it is no public id of such a key.
            NotFoundError: there is no such key, or it is another user's.
        """
        principal = caller.principal
        if principal.kind in {PrincipalKind.USER_KEY, PrincipalKind.SYSTEM_KEY}:
            raise DeniedError("API keys cannot delete API keys", detail="not a session")
        row_id = row_id_of(identifier, KIND_NAMES[kind])
        if row_id is None:
            raise InvalidError("Invalid API key id")

        def work(connection: Connection) -> None:
            move_security_epoch(connection)
            key = find_api_key(connection, kind, row_id)
            is_own = key is not None and key.user_id == principal.user_id
            if key is None or not (is_own or principal.may(Permission.API_KEYS_MANAGE)):
                raise NotFoundError("API key not found")
            delete_api_key_row(connection, key.row_id)
            event = AuditEvent(
                EventName.API_KEY_REVOKED, target=Target("api_key", identifier, key.name)
            )
            self._audit.record(connection, event, caller)

        await self._database.write(work)


def _clean_name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > _NAME_LIMIT or "\0" in name:
        raise SchemaError(
            FieldProblem(("body", "data", "name"), f"Input should be 1 to {_NAME_LIMIT} characters")
        )
    return name


def _clean_description(text: str | None) -> str | None:
    if text is not None and len(text) > _DESCRIPTION_LIMIT:
        raise SchemaError(
            FieldProblem(
                ("body", "data", "description"),
                f"Input should be at most {_DESCRIPTION_LIMIT} characters",
            )
        )
    return text


def _refuse_ended_session(connection: Connection, caller: Caller) -> None:
    """Make no key for a session that was ended while its request was on the way."""
    session_id = caller.principal.session_id
    if session_id is not None and not session_exists(connection, session_id):
        raise UnauthenticatedError("Invalid token", detail="the session has ended")


def _clean_role(connection: Connection, caller: Caller, role: str | None) -> str:
    name = role_name_of(connection, SYSTEM if role is None else role)
    permissions = None if name is None else permissions_of_role(connection, name)
    if name is None or permissions is None:
        raise SchemaError(FieldProblem(("body", "data", "role"), "Input should be a known role"))
    if not permissions <= caller.principal.permissions:
        raise DeniedError("Nobody gives a role above their own", detail="role above the caller's")
    return name


def _clean_permissions(
    caller: Caller, names: Sequence[str] | None, of_role: frozenset[Permission] | None
) -> str | None:
    if names is None:
        return None
    known = {str(permission) for permission in Permission}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise SchemaError(
            FieldProblem(
                ("body", "data", "permissions"),
                f"Input should be one or more of {', '.join(sorted(known))}",
                seen=unknown,
            )
        )
    wanted = frozenset(Permission(name) for name in names)
    if not wanted <= caller.principal.permissions:
        raise DeniedError("Nobody gives more than they may do", detail="permissions above own")
    if of_role is not None and not wanted <= of_role:
        raise SchemaError(
            FieldProblem(
                ("body", "data", "permissions"),
                "Input should be permissions that the key's role has",
                seen=sorted(wanted - of_role),
            )
        )
    return json.dumps(sorted(wanted))


def _clean_projects(
    connection: Connection, identifiers: Sequence[str] | None
) -> frozenset[int] | None:
    if identifiers is None:
        return None
    by_id = {i: row_id for i in identifiers if (row_id := row_id_of(i, "Project")) is not None}
    found = project_rows(connection, tuple(identifiers), tuple(by_id.values()))
    missing = [i for i in identifiers if by_id.get(i) not in found and i not in found.values()]
    if missing or not identifiers:
        raise SchemaError(
            FieldProblem(
                ("body", "data", "projects"),
                "Input should be names or ids of projects that exist",
                seen=missing,
            )
        )
    return frozenset(found)


def _found(key: ApiKey | None) -> ApiKey:
    if key is None:
        raise NotFoundError("API key not found")
    return key
