"""API keys: made by people, shown once, identified when found somewhere, revoked at once.

A user key acts as its owner, live, within its own permissions; a system key is a service account
with a role. A key never makes or changes a key.

Spec: lines 134-155, 259. Decision 6.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller, Permission, PrincipalKind, require
from bennu.audit.events import AuditEvent, EventName, Outcome
from bennu.audit.log import AuditLog
from bennu.auth.api_keys.authority import (
    KEYS_CANNOT_CHANGE,
    KEYS_CANNOT_CREATE,
    key_row_of,
    known_to,
    recorded_fields,
    refuse_ended_session,
    refuse_keys,
    refuse_second_use,
    target_of,
)
from bennu.auth.api_keys.last_use import LastUses
from bennu.auth.api_keys.making import KeyMaker, MadeApiKey, found_key
from bennu.auth.api_keys.rules import (
    clean_description,
    clean_expiry,
    clean_name,
    clean_permissions,
    clean_projects,
    clean_role,
)
from bennu.auth.api_keys.store import (
    SYSTEM_KEYS,
    USER_KEYS,
    ApiKey,
    delete_api_key_row,
    find_api_key,
    ids_json,
    key_of_credential,
    newest_api_keys,
)
from bennu.auth.credential import CredentialKind, parse_credential
from bennu.auth.settings import AuthSettings
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import (
    DeniedError,
    FieldProblem,
    NotFoundError,
    SchemaError,
    UnauthenticatedError,
)
from bennu.kernel.secret import Secret
from bennu.roles.store import permissions_of_role
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch, move_security_epoch
from bennu.storage.used_once import OneUse
from bennu.users.store import find_user, find_user_by_email

_KEY_KINDS: Final = frozenset({CredentialKind.USER_KEY, CredentialKind.SYSTEM_KEY})


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """What a caller gives to make a key.

    Args:
        name: of the key.
        description: further words.
        expires_at: when it ends, None for never.
        permissions: None for no restriction.
        projects: None for no restriction.
        role: of a system key.
        asked_by: the form that asks, which makes one key and no second.
    """

    name: str
    description: str | None = None
    expires_at: datetime | None = None
    permissions: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    role: str | None = None
    asked_by: OneUse | None = None


@dataclass(frozen=True, slots=True)
class _Basis:
    """On whose strength a key is made.

    Args:
        own: what the maker may do, or the owner where the console makes the key.
        owner_id: of a user's key.
        role: of a system key.
        of_role: what that role may do.
    """

    own: frozenset[Permission]
    owner_id: int | None = None
    role: str | None = None
    of_role: frozenset[Permission] | None = None


class ApiKeys:
    """The flows over API keys."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        maker: KeyMaker,
        audit: AuditLog,
        settings: AuthSettings,
        uses: LastUses,
    ) -> None:
        self._database, self._clock, self._maker = database, clock, maker
        self._audit, self._settings, self._uses = audit, settings, uses

    # --- making ----------------------------------------------------------------------------

    async def create_user_key(self, caller: Caller, new: NewApiKey) -> MadeApiKey:
        """Make a key that acts as its maker.

        Raises:
            DeniedError: a key or the admin secret asked, or more was asked than the maker may do.
            UsedUpError: the form made its key already.
            SchemaError: a field is wrong; names it.
        """
        owner_id = caller.principal.user_id
        if not caller.principal.is_session or owner_id is None:
            raise DeniedError(KEYS_CANNOT_CREATE, detail="not a session")
        return await self._database.write(
            lambda c: self._create_of_user(c, caller, new, owner_id, caller.principal.permissions)
        )

    async def create_key_for_user(self, caller: Caller, email: str, new: NewApiKey) -> MadeApiKey:
        """Make a key that acts as somebody else; for the command line only.

        Raises:
            DeniedError: anybody else asked, or more was asked than that user may do.
            NotFoundError: there is no such user.
            SchemaError: a field is wrong; names it.
        """
        if caller.principal.kind is not PrincipalKind.CONSOLE:
            raise DeniedError("Nobody makes a key for somebody else", detail="not the console")

        def work(connection: Connection) -> MadeApiKey:
            user = find_user_by_email(connection, email.strip().lower())
            if user is None or user.is_system:
                raise NotFoundError("User not found")
            theirs = permissions_of_role(connection, user.role) or frozenset()
            return self._create_of_user(connection, caller, new, user.row_id, theirs)

        return await self._database.write(work)

    async def create_system_key(self, caller: Caller, new: NewApiKey) -> MadeApiKey:
        """Make the key of a service account.

        Raises:
            DeniedError: a key asked, or more was asked than the maker may do.
            UsedUpError: the form made its key already.
            SchemaError: a field is wrong; names it.
        """
        refuse_keys(caller, KEYS_CANNOT_CREATE)
        require(caller.principal, Permission.API_KEYS_MANAGE)
        own = caller.principal.permissions

        def work(connection: Connection) -> MadeApiKey:
            # Moved and not only held: two good keys of a name stand for no certificate any more.
            move_security_epoch(connection)
            role = clean_role(connection, own, new.role)
            of_role = permissions_of_role(connection, role)
            return self._insert(connection, caller, new, _Basis(own, None, role, of_role))

        return await self._database.write(work)

    def _create_of_user(
        self,
        connection: Connection,
        caller: Caller,
        new: NewApiKey,
        owner_id: int,
        own: frozenset[Permission],
    ) -> MadeApiKey:
        if new.role is not None:
            raise SchemaError(
                FieldProblem(("body", "data", "role"), "Only system keys have a role of their own")
            )
        hold_security_epoch(connection)
        if find_user(connection, owner_id) is None:
            raise UnauthenticatedError("Invalid token", detail="the user is gone")
        return self._insert(connection, caller, new, _Basis(own, owner_id))

    def _insert(
        self, connection: Connection, caller: Caller, new: NewApiKey, basis: _Basis
    ) -> MadeApiKey:
        """Check every field and insert the key."""
        refuse_ended_session(connection, caller)
        now = self._clock.now_utc()
        refuse_second_use(connection, new.asked_by, now, self._settings)
        projects = clean_projects(connection, new.projects)
        values = {
            "kind": SYSTEM_KEYS if basis.owner_id is None else USER_KEYS,
            "user_id": basis.owner_id,
            "created_by": caller.principal.user_id,
            "name": clean_name(new.name),
            "description": clean_description(new.description),
            "permissions": clean_permissions(
                new.permissions, basis.own, basis.of_role, is_restricted=projects is not None
            ),
            "projects": ids_json(projects),
            "created_at": to_microseconds(now),
            "expires_at": clean_expiry(new.expires_at, now, self._settings.api_key_max_lifetime),
        }
        made = self._maker.make(connection, values, basis.role)
        event = AuditEvent(
            EventName.API_KEY_CREATED, target=target_of(made.key), after=recorded_fields(made.key)
        )
        self._audit.record(connection, event, caller)
        return made

    # --- looking ---------------------------------------------------------------------------

    async def list_own_keys(self, caller: Caller) -> list[ApiKey]:
        """Return the keys of the account that the caller acts for."""
        user_id = caller.principal.user_id
        if user_id is None:
            return []
        await self._uses.write_uses(all_uses=True)
        return await self._database.read(lambda c: newest_api_keys(c, USER_KEYS, user_id))

    async def list_keys(
        self, kind: str, limit: int | None = None, at_most_id: int | None = None
    ) -> list[ApiKey]:
        """Return all keys of a kind, newest first; one more than ``limit`` when there are more."""
        await self._uses.write_uses(all_uses=True)
        most = None if limit is None else limit + 1
        return await self._database.read(lambda c: newest_api_keys(c, kind, None, most, at_most_id))

    async def get_key(self, caller: Caller, identifier: str, kind: str) -> ApiKey:
        """Return one key of the caller's own, or any key to who may manage all.

        Raises:
            InvalidError: it is no public id of such a key.
            NotFoundError: there is no such key, or it is another user's.
        """
        row_id = key_row_of(identifier, kind)
        await self._uses.write_uses(all_uses=True)
        return known_to(caller, await self._database.read(lambda c: find_api_key(c, kind, row_id)))

    async def identify_key(self, caller: Caller, text: Secret) -> ApiKey:
        """Say whose key this is, for one that was found where it does not belong.

        Raises:
            DeniedError: the caller is no admin.
            SchemaError: the text is no API key at all; it is never repeated.
            NotFoundError: no such key was made here, or it was revoked.
        """
        refuse_keys(caller, KEYS_CANNOT_CHANGE)
        require(caller.principal, Permission.API_KEYS_MANAGE)
        credential = parse_credential(text.reveal().strip())
        if credential is None or credential.kind not in _KEY_KINDS:
            raise SchemaError(FieldProblem(("body", "key"), "Input should be a whole API key"))
        await self._uses.write_uses(all_uses=True)

        def work(connection: Connection) -> ApiKey | None:
            row = key_of_credential(connection, credential.lookup)
            key = None if row is None or not self._maker.is_proved(credential, row[1]) else row[0]
            event = AuditEvent(
                EventName.API_KEY_IDENTIFIED,
                Outcome.FAILED if key is None else Outcome.SUCCEEDED,
                "unknown_key" if key is None else "",
                None if key is None else target_of(key),
            )
            self._audit.record(connection, event, caller)
            return key

        return found_key(await self._database.write(work))

    # --- ending ----------------------------------------------------------------------------

    async def revoke_key(self, caller: Caller, identifier: str, kind: str) -> None:
        """Delete a key; the very next request with it is refused.

        Raises:
            DeniedError: a key asked.
            InvalidError: it is no public id of such a key.
            NotFoundError: there is no such key, or it is another user's.
        """
        refuse_keys(caller, KEYS_CANNOT_CHANGE)
        row_id = key_row_of(identifier, kind)

        def work(connection: Connection) -> None:
            move_security_epoch(connection)
            key = known_to(caller, find_api_key(connection, kind, row_id))
            delete_api_key_row(connection, key.row_id)
            event = AuditEvent(
                EventName.API_KEY_REVOKED, target=target_of(key), before=recorded_fields(key)
            )
            self._audit.record(connection, event, caller)

        await self._database.write(work)
