"""Proving that one knows one's own password, before another one takes its place.

Whoever holds a stolen session could guess here instead of at the sign-in, so a guess counts as
one there, is recorded, and is refused after as many.

Spec: lines 257-258. Source: OWASP ASVS 5.0 V6.2.3, V6.3.1.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.kernel.errors import MalformedError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.users.model import USER, User
from bennu.users.new_password import NewPasswords, require_local

WRONG_CURRENT_PASSWORD: Final = "The current password is not right"  # noqa: S105 - a text


class PasswordGuard(Protocol):
    """What counts guesses, those at the sign-in too: see ``auth/sign_in_guard.py``."""

    def attempt(self, account: str, caller: Caller) -> AbstractAsyncContextManager[None]:
        """Count an attempt, or refuse it where there were too many."""

    def forgive(self, connection: Connection, account: str, caller: Caller, user_id: int) -> None:
        """Forget the failures of somebody who knew the password."""


class OwnPassword:
    """Asks for the password that an account has now.

    Args:
        database: started.
        audit: told of every wrong guess.
        passwords: compares.
        guard: shares its count with the sign-in.
    """

    def __init__(
        self, database: Database, audit: AuditLog, passwords: NewPasswords, guard: PasswordGuard
    ) -> None:
        self._database, self._audit = database, audit
        self._passwords, self._guard = passwords, guard

    async def prove(self, caller: Caller, user: User, current_password: Secret | None) -> None:
        """Return when this is the password of the account; its failures are forgiven then.

        Raises:
            ConflictError: the account signs in elsewhere.
            MalformedError: it is missing or wrong.
            TooManyError: there were too many guesses; says how long to wait.
        """
        require_local(user)
        if not current_password:
            raise MalformedError(WRONG_CURRENT_PASSWORD, detail="missing current password")
        # The form in which the sign-in counts.
        account = user.email or user.username
        async with self._guard.attempt(account, caller):
            if not await self._passwords.is_current(user, current_password):
                await self._note_failure(user, caller)
                raise MalformedError(WRONG_CURRENT_PASSWORD, detail="wrong current password")
            # Now and not with the change: a new password that breaks a rule is no guess.
            await self._database.write(
                lambda c: self._guard.forgive(c, account, caller, user.row_id), is_lasting=False
            )

    async def _note_failure(self, user: User, caller: Caller) -> None:
        event = AuditEvent(
            EventName.PASSWORD_CHANGED,
            Outcome.FAILED,
            "wrong_current_password",
            Target("user", global_id(USER, user.row_id), user.username),
        )
        await self._audit.note(event, caller)
