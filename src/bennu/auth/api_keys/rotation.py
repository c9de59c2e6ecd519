"""Rotation of a key: a new one like it, and both work until the overlap is over.

Spec: lines 245-248. Source: NIST SP 800-57 part 1 (cryptoperiods); OWASP Secrets Management
Cheat Sheet (rotation).
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from bennu.access import Caller, PrincipalKind
from bennu.audit.events import AuditEvent, EventName
from bennu.audit.log import AuditLog
from bennu.auth.api_keys.authority import (
    KEYS_CANNOT_CREATE,
    key_row_of,
    known_to,
    recorded_fields,
    refuse_ended_session,
    refuse_keys,
    refuse_second_use,
    target_of,
)
from bennu.auth.api_keys.making import KeyMaker, MadeApiKey
from bennu.auth.api_keys.rules import LATEST_EXPIRY, clean_expiry, clean_role
from bennu.auth.api_keys.store import ApiKey, end_key_at, find_api_key
from bennu.auth.settings import AuthSettings
from bennu.kernel.clock import Clock, from_microseconds, to_microseconds
from bennu.kernel.errors import ConflictError, DeniedError
from bennu.storage.database import Database
from bennu.storage.epoch import move_security_epoch
from bennu.storage.used_once import OneUse


class KeyRotation:
    """The flow that replaces a key."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        maker: KeyMaker,
        audit: AuditLog,
        settings: AuthSettings,
    ) -> None:
        self._database, self._clock, self._maker = database, clock, maker
        self._audit, self._settings = audit, settings

    async def rotate_key(
        self,
        caller: Caller,
        identifier: str,
        kind: str,
        overlap: timedelta,
        asked_by: OneUse | None = None,
    ) -> MadeApiKey:
        """Make a key like another one, which ends after the overlap.

        The new key lives as long as the old one was made for; it has the same name, permissions
        and projects. A form that asks for it makes one key and no second.

        Raises:
            DeniedError: a key asked, it is somebody else's, or it may do more than the caller.
            InvalidError: it is no public id of such a key.
            NotFoundError: there is no such key that the caller may know of.
            UsedUpError: the form made its key already.
            ConflictError: it has ended, or was rotated before.
        """
        refuse_keys(caller, KEYS_CANNOT_CREATE)
        row_id = key_row_of(identifier, kind)

        def work(connection: Connection) -> MadeApiKey:
            move_security_epoch(connection)
            refuse_ended_session(connection, caller)
            refuse_second_use(connection, asked_by, self._clock.now_utc(), self._settings)
            old = known_to(caller, find_api_key(connection, kind, row_id))
            self._refuse_rotation(connection, caller, old)
            made = self._maker.make(connection, self._successor_of(old, caller), old.role)
            ends_at = to_microseconds(self._clock.now_utc() + overlap)
            if old.expires_at is not None:
                ends_at = min(ends_at, old.expires_at)
            end_key_at(connection, old.row_id, ends_at, made.key.row_id)
            ended = replace(old, expires_at=ends_at, replaced_by=made.key.row_id)
            minutes = overlap // timedelta(minutes=1)
            event = AuditEvent(
                EventName.API_KEY_ROTATED,
                target=target_of(ended),
                before=recorded_fields(old),
                after={**recorded_fields(made.key), "overlap_minutes": minutes},
            )
            self._audit.record(connection, event, caller)
            return made

        return await self._database.write(work)

    def _refuse_rotation(self, connection: Connection, caller: Caller, old: ApiKey) -> None:
        is_others = old.user_id is not None and old.user_id != caller.principal.user_id
        if is_others and caller.principal.kind is not PrincipalKind.CONSOLE:
            raise DeniedError(
                "Only its owner rotates a user's key; an admin can revoke it",
                detail="not the owner",
            )
        if old.user_id is None and old.role is not None:
            clean_role(connection, caller.principal.permissions, old.role)
        if old.replaced_by is not None:
            raise ConflictError("The key was rotated before; rotate the one that replaced it")
        if old.expires_at is not None and old.expires_at <= to_microseconds(self._clock.now_utc()):
            raise ConflictError("The key has expired; make a new one")

    def _successor_of(self, old: ApiKey, caller: Caller) -> dict[str, Any]:
        now = self._clock.now_utc()
        longest = self._settings.api_key_max_lifetime
        wanted = None
        if old.expires_at is not None:
            lifetime = from_microseconds(old.expires_at) - from_microseconds(old.created_at)
            wanted = now + min(lifetime, longest or lifetime, LATEST_EXPIRY - now)
        return {
            "kind": old.kind,
            "user_id": old.user_id,
            "created_by": caller.principal.user_id,
            "name": old.name,
            "description": old.description,
            "permissions": old.permissions,
            "projects": old.projects,
            "created_at": to_microseconds(now),
            "expires_at": clean_expiry(wanted, now, longest),
        }
