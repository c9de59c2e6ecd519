"""Giving an account a new password: the rules, the hash, and the end of its sessions.

Spec: lines 12-13. Source: OWASP ASVS 5.0 V6.2, V7.4.3.
"""

from typing import Any

from sqlalchemy import Connection

from bennu.encryption.cipher import Cipher
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import ConflictError, FieldProblem, SchemaError
from bennu.kernel.secret import Secret
from bennu.users.model import AuthMethod, PasswordKeeper, User
from bennu.users.store import end_sessions_of, update_user


class NewPasswords:
    """Checks, hashes and keeps new passwords of accounts that exist."""

    def __init__(self, clock: Clock, cipher: Cipher, passwords: PasswordKeeper) -> None:
        self._clock, self._cipher, self._passwords = clock, cipher, passwords

    async def hash_for(self, user: User, password: Secret) -> str:
        """Return the hash of a password that keeps every rule and is not the one before.

        Raises:
            ConflictError: the account signs in elsewhere.
            SchemaError: the password breaks a rule; says which.
        """
        require_local(user)
        self._passwords.check_new(password, user.email or "", user.username)
        if await self.is_current(user, password):
            raise SchemaError(
                FieldProblem(("body", "password"), "The new password must differ from the old one")
            )
        return await self._passwords.hash(password)

    async def is_current(self, user: User, password: Secret) -> bool:
        """Whether this is the password of the account; takes as long when it has none."""
        known = user.password_hash
        opened = None if known is None else self._cipher.open(known).decode()
        return await self._passwords.matches(password, opened)

    def keep(
        self,
        connection: Connection,
        user_id: int,
        hashed: str,
        more: dict[str, Any] | None = None,
        *,
        needs_reset: bool = False,
    ) -> None:
        """Keep the hash and end all sessions of the account; its API keys stay.

        Args:
            connection: of the change.
            user_id: the row of the account.
            hashed: what ``hash_for`` returned.
            more: further columns to change with it.
            needs_reset: whether it is good only for choosing another one.
        """
        now = to_microseconds(self._clock.now_utc())
        values = {
            **(more or {}),
            "password_hash": self._cipher.seal(hashed),
            "password_needs_reset": needs_reset,
            "password_changed_at": now,
            "updated_at": now,
        }
        update_user(connection, user_id, values)
        end_sessions_of(connection, user_id)


def require_local(user: User) -> None:
    """Refuse what only an account with a password here can do.

    Raises:
        ConflictError: it signs in elsewhere.
    """
    if user.auth_method != AuthMethod.LOCAL:
        raise ConflictError("This account signs in elsewhere and has no password here")
