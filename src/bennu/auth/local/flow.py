"""Signing in with a password.

Unknown user, wrong password and deactivated account do the same work, give the same text, and are
answered no earlier than a fixed boundary, so that neither text nor time tells which it was.

Spec: lines 3, 257-258. Source: OWASP ASVS 5.0 V6.3.8.
"""

from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.auth.local.passwords import Passwords
from bennu.auth.sessions.flow import SESSION, Sessions, TokenPair, signed_in
from bennu.auth.sign_in_guard import SignInGuard
from bennu.encryption.cipher import Cipher
from bennu.kernel.errors import UnauthenticatedError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch
from bennu.users.model import USER, AuthMethod, User
from bennu.users.store import find_user, find_user_by_email, update_user

WRONG: Final = "Invalid email and/or password"
MISSING: Final = "Email and password required"
_FIELDS: Final = {"method": "password"}
#: A second look when the hash was renewed or sealed anew while the password was checked.
_ATTEMPTS: Final = 2


class LocalSignIn:
    """The flow of a sign-in with e-mail and password."""

    def __init__(
        self,
        database: Database,
        cipher: Cipher,
        audit: AuditLog,
        passwords: Passwords,
        sessions: Sessions,
        guard: SignInGuard,
    ) -> None:
        self._database, self._cipher, self._audit = database, cipher, audit
        self._passwords, self._sessions, self._guard = passwords, sessions, guard

    async def sign_in_with_password(
        self, caller: Caller, email: str, password: Secret
    ) -> TokenPair:
        """Open a session for a local user.

        Raises:
            UnauthenticatedError: no such user, wrong password, or deactivated; never which.
            TooManyFailuresError: this address must wait before it tries this account again.
        """
        if not email.strip() or not password:
            raise UnauthenticatedError(MISSING, detail="missing e-mail or password")
        address = email.strip().lower()
        async with self._guard.attempt(address, caller):
            return await self._checked(caller, address, password)

    async def _checked(self, caller: Caller, address: str, password: Secret) -> TokenPair:
        for _ in range(_ATTEMPTS):
            user = await self._database.read(lambda c: find_user_by_email(c, address), tiny=True)
            reason = await self._reason_to_refuse(user, password)
            if user is None or reason:
                break
            pair = await self._open(user, address, password, caller)
            if pair is not None:
                return pair
            reason = "changed_meanwhile"
        await self._note_failure(user, reason, caller)
        raise UnauthenticatedError(WRONG, detail="sign-in failed")

    async def _reason_to_refuse(self, user: User | None, password: Secret) -> str:
        known = None
        if user is not None and user.password_hash is not None:
            known = self._cipher.open(user.password_hash).decode()
        matches = await self._passwords.matches(password, known)
        if user is None:
            return "unknown_user"
        if user.auth_method != AuthMethod.LOCAL or user.is_system or known is None:
            return "no_password_here"
        if not matches:
            return "wrong_password"
        return "" if user.active else "deactivated"

    async def _note_failure(self, user: User | None, reason: str, caller: Caller) -> None:
        target = Target("user", "" if user is None else global_id(USER, user.row_id))
        event = AuditEvent(EventName.SIGN_IN_FAILED, Outcome.FAILED, reason, target, after=_FIELDS)
        await self._audit.note(event, caller)

    async def _open(
        self, user: User, address: str, password: Secret, caller: Caller
    ) -> TokenPair | None:
        """Open the session; None when the account was changed while its password was checked."""
        known = self._cipher.open(user.password_hash or "").decode()
        renewed = None
        if self._passwords.is_outdated(known):
            renewed = await self._passwords.hash(password)

        def work(connection: Connection) -> TokenPair | None:
            hold_security_epoch(connection)
            current = find_user(connection, user.row_id)
            if current is None or not current.active or current.password_hash != user.password_hash:
                return None
            session_id, pair = self._sessions.open_session(
                connection, user.row_id, "password", caller
            )
            if renewed is not None:
                sealed = self._cipher.seal(renewed)
                update_user(connection, user.row_id, {"password_hash": sealed})
            self._guard.forgive(connection, address, caller, user.row_id)
            actor = signed_in(user, session_id, caller)
            target = Target("session", global_id(SESSION, session_id))
            event = AuditEvent(EventName.SIGN_IN_SUCCEEDED, target=target, after=_FIELDS)
            self._audit.record(connection, event, actor)
            return pair

        return await self._database.write(work)
