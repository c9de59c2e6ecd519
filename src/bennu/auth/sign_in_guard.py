"""What stands around every way of signing in with a password: lock-out and boundary of answers.

Spec: line 258.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.auth.answer_boundary import AnswerBoundary
from bennu.auth.lockout import Lockout
from bennu.kernel.errors import UnavailableError


class UncheckedPasswordError(UnavailableError):
    """Nobody could look at the password, so none was guessed.

    Why safe: it is raised before a password is compared and never after; what fails later, the
    record of a wrong guess say, is another kind of error and stays counted.
    """

    code = "unchecked_password"


class SignInGuard:
    """Slows guessing down and keeps the time of a refusal from telling anything.

    A flow does everything inside ``attempt`` and calls ``forgive`` in the transaction that opens
    the session.

    Args:
        lockout: the one of this server; ways of signing in share it.
        boundary: of this way of signing in.
        method: name of this way for audit records, such as ``password`` or ``ldap``.
    """

    def __init__(self, lockout: Lockout, boundary: AnswerBoundary, method: str) -> None:
        self._lockout, self._boundary, self._method = lockout, boundary, method

    @asynccontextmanager
    async def attempt(self, account: str, caller: Caller) -> AsyncIterator[None]:
        """Count an attempt; a refusal raised inside is answered at the boundary and no earlier.

        One that is raised because nobody could look at the password takes the count back.

        Args:
            account: as typed; it need not exist.
            caller: who tries.

        Raises:
            TooManyFailuresError: there were too many failures; the block does not run.
        """
        async with self._boundary.holding_refusals():
            await self._lockout.admit(account, caller, self._method)
            try:
                yield
            except UncheckedPasswordError:
                await self._lockout.take_back(account, caller)
                raise

    def forgive(self, connection: Connection, account: str, caller: Caller, user_id: int) -> None:
        """Forget the failures of a sign-in that succeeded: see ``Lockout.forgive``."""
        self._lockout.forgive(connection, account, caller, user_id)
