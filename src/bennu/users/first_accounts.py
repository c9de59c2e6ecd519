"""The accounts that a new server needs: the system user and the first admin.

Spec: lines 12-13.
"""

from sqlalchemy import Connection

from bennu.access import ADMIN, SERVER, SYSTEM, Caller
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.encryption.cipher import Cipher
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch
from bennu.users.model import (
    FIRST_ADMIN_EMAIL,
    FIRST_ADMIN_NAME,
    SYSTEM_EMAIL,
    SYSTEM_NAME,
    USER,
    AuthMethod,
    PasswordKeeper,
)
from bennu.users.store import find_system_user, has_admin, insert_user, taken_field


class FirstAccounts:
    """Makes what is missing at start."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        cipher: Cipher,
        audit: AuditLog,
        passwords: PasswordKeeper,
    ) -> None:
        self._database, self._clock, self._cipher = database, clock, cipher
        self._audit, self._passwords = audit, passwords

    async def are_missing(self) -> bool:
        """Whether a start has accounts to make; a password is needed only then."""
        return await self._database.read(lambda c: find_system_user(c) is None or not has_admin(c))

    async def make_first_accounts(
        self, password: Secret | None, admins: tuple[tuple[str, str], ...]
    ) -> bool:
        """Make the system user, and the first admin when nobody is one yet.

        Args:
            password: the first admin's, good for one thing: changing it. None while
                authentication is off: nobody could be told, so no admin is made yet.
            admins: further admins as (user name, e-mail); they set a password by a reset. Made
                only together with or after the first admin, who lets everybody else in.

        Returns:
            Whether the first admin was made just now.
        """
        hashed = None if password is None else await self._passwords.hash(password)

        def work(connection: Connection) -> bool:
            # Two servers that start at once on one database make each account once.
            hold_security_epoch(connection)
            now = to_microseconds(self._clock.now_utc())
            if find_system_user(connection) is None:
                self._insert_account(connection, SYSTEM_EMAIL, SYSTEM_NAME, SYSTEM, None, now)
            is_first = hashed is not None and not has_admin(connection)
            if hashed is not None and is_first:
                sealed = self._cipher.seal(hashed)
                self._insert_account(
                    connection, FIRST_ADMIN_EMAIL, FIRST_ADMIN_NAME, ADMIN, sealed, now
                )
            for username, email in admins if hashed is not None else ():
                if taken_field(connection, email, username) is None:
                    self._insert_account(connection, email, username, ADMIN, None, now)
            return is_first

        return await self._database.write(work)

    def _insert_account(
        self,
        connection: Connection,
        email: str,
        username: str,
        role: str,
        sealed_hash: str | None,
        now: int,
    ) -> None:
        values = {
            "email": email,
            "username": username,
            "auth_method": AuthMethod.LOCAL,
            "password_hash": sealed_hash,
            "password_needs_reset": role == ADMIN,
            "active": True,
            "is_system": role == SYSTEM,
            "created_at": now,
            "updated_at": now,
        }
        row_id = insert_user(connection, values, role)
        target = Target("user", global_id(USER, row_id), username)
        event = AuditEvent(EventName.USER_CREATED, target=target, after={"role": role})
        self._audit.record(connection, event, Caller(SERVER))
