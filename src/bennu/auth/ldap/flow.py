"""Signing in through the directory.

Spec: lines 24-90, 257-258. Contract: section 6. Source: OWASP ASVS 5.0 V6.3.8.
"""

import logging
from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.ldap.configured import ConfiguredDirectory
from bennu.auth.ldap.faults import LdapFault
from bennu.auth.provision import Admitted, Identity, Refused
from bennu.auth.sessions.flow import SESSION, Sessions, TokenPair, signed_in
from bennu.auth.sign_in_guard import SignInGuard, UncheckedPasswordError
from bennu.kernel.errors import UnauthenticatedError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.users.model import USER

logger: Final = logging.getLogger("bennu.auth.ldap")

METHOD: Final = "ldap"
MISSING: Final = "Username and password required"
WRONG: Final = "Invalid username and/or password"
UNAVAILABLE: Final = (
    "The directory cannot be asked at the moment. Please try again later, or tell an administrator."
)
NAME_LIMIT: Final = 256
PASSWORD_LIMIT: Final = 1024
_DELETE: Final = 0x7F
_RETRY_AFTER_SECONDS: Final = 5
_FIELDS: Final = {"method": METHOD}


class LdapSignIn:
    """The flow of a sign-in with the name and the password of the directory."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        sessions: Sessions,
        guard: SignInGuard,
        directory: ConfiguredDirectory,
    ) -> None:
        self._database, self._audit, self._sessions = database, audit, sessions
        self._guard, self._directory = guard, directory

    async def sign_in_with_directory(
        self, caller: Caller, username: str, password: Secret
    ) -> TokenPair:
        """Open a session for somebody whom the directory knows.

        Raises:
            UnauthenticatedError: not proved, or nobody who may sign in; never which.
            TooManyFailuresError: this address must wait before it tries this name again.
            UncheckedPasswordError: the directory cannot be asked.
        """
        name = username.strip()
        if not name or not password:
            raise UnauthenticatedError(MISSING, detail="missing user name or password")
        async with self._guard.attempt(name, caller):
            found = await self._proved(caller, name, password)
            if isinstance(found, Identity):
                identity = found
                opened = await self._database.write(lambda c: self._open(c, identity, name, caller))
                if isinstance(opened, TokenPair):
                    return opened
                found = opened
            await self._note_failure(found, caller)
            raise UnauthenticatedError(WRONG, detail="sign-in failed")

    async def _proved(self, caller: Caller, name: str, password: Secret) -> Identity | str:
        """Ask the directory; a reason as one word when it does not know them."""
        if not (_may_be_name(name) and _may_be_password(password)):
            return "impossible_name_or_password"
        try:
            return await self._directory.prove(name, password)
        except LdapFault as fault:
            fields = {"step": fault.step, "why": fault.detail, "variables": fault.variables}
            logger.error("ldap.directory.unavailable", extra=fields)  # noqa: TRY400 - no stack
            await self._note_failure("directory_unavailable", caller)
            raise UncheckedPasswordError(
                UNAVAILABLE, detail=str(fault), retry_after_seconds=_RETRY_AFTER_SECONDS
            ) from None

    async def _note_failure(self, reason: str, caller: Caller) -> None:
        event = AuditEvent(
            EventName.SIGN_IN_FAILED, Outcome.FAILED, reason, Target("user"), after=_FIELDS
        )
        await self._audit.note(event, caller)

    def _open(
        self, connection: Connection, identity: Identity, name: str, caller: Caller
    ) -> TokenPair | str:
        """Link or make the account and open the session; a reason when that may not be."""
        found = self._directory.admit(connection, identity)
        if isinstance(found, Refused):
            return str(found.reason)
        user = found.user
        session_id, pair = self._sessions.open_session(connection, user.row_id, METHOD, caller)
        self._guard.forgive(connection, name, caller, user.row_id)
        self._record(connection, found, session_id, caller)
        return pair

    def _record(
        self, connection: Connection, found: Admitted, session_id: int, caller: Caller
    ) -> None:
        if found.kept_email:
            logger.warning("ldap.email.in_use", extra={"user": global_id(USER, found.user.row_id)})
        actor = signed_in(found.user, session_id, caller)
        for event in found.events:
            self._audit.record(connection, event, actor)
        target = Target("session", global_id(SESSION, session_id))
        event = AuditEvent(EventName.SIGN_IN_SUCCEEDED, target=target, after=_FIELDS)
        self._audit.record(connection, event, actor)


def _may_be_name(text: str) -> bool:
    """Whether a text can be a login name: bounded, of UTF-8, without control characters."""
    has_control = any(ord(c) < ord(" ") or ord(c) == _DELETE for c in text)
    return len(text) <= NAME_LIMIT and not has_control and _is_utf8(text)


def _may_be_password(password: Secret) -> bool:
    """Whether a text can be a password.

    A server that takes one beginning with NUL for an empty one would bind anybody.
    """
    text = password.reveal()
    return len(text) <= PASSWORD_LIMIT and "\0" not in text and _is_utf8(text)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
