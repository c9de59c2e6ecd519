"""The accounts that a new server needs: the system user and the first admin.

Spec: lines 12-13.
"""

from dataclasses import dataclass

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
from bennu.users.store import (
    find_system_user,
    has_admin,
    insert_user,
    note_first_admin,
    taken_field,
)


@dataclass(frozen=True, slots=True)
class _Account:
    """One of the first accounts; ``sealed_hash`` is None for those that have no password yet."""

    email: str
    username: str
    role: str
    method: AuthMethod = AuthMethod.LOCAL
    sealed_hash: str | None = None


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

    async def make_first_accounts(
        self,
        password: Secret | None,
        admins: tuple[tuple[str, str], ...],
        method: AuthMethod = AuthMethod.LOCAL,
    ) -> bool:
        """Make the system user, and the first admin when nobody is one yet.

        Args:
            password: the first admin's, good for one thing: changing it. None while
                authentication is off: nobody could be told, so no admin is made yet.
            admins: further admins as (user name, e-mail). Made only together with or after the
                first admin, who lets everybody else in.
            method: how the further admins sign in; local ones set a password by a reset.

        Returns:
            Whether the first admin was made just now.
        """
        hashed = None if password is None else await self._passwords.hash(password)

        def work(connection: Connection) -> bool:
            # Two servers that start at once on one database make each account once.
            hold_security_epoch(connection)
            now = to_microseconds(self._clock.now_utc())
            if find_system_user(connection) is None:
                system = _Account(SYSTEM_EMAIL, SYSTEM_NAME, SYSTEM)
                self._insert_account(connection, system, now)
            is_first = hashed is not None and not has_admin(connection)
            if hashed is not None and is_first:
                sealed = self._cipher.seal(hashed)
                first = _Account(FIRST_ADMIN_EMAIL, FIRST_ADMIN_NAME, ADMIN, sealed_hash=sealed)
                self._insert_account(connection, first, now)
            for username, email in admins if hashed is not None else ():
                # Once: somebody who was deleted later must not come back as an admin at a start.
                is_new = note_first_admin(connection, email)
                if is_new and taken_field(connection, email, username) is None:
                    further = _Account(email, username, ADMIN, method)
                    self._insert_account(connection, further, now)
            return is_first

        return await self._database.write(work)

    def _insert_account(self, connection: Connection, account: _Account, now: int) -> None:
        is_local = account.method == AuthMethod.LOCAL
        values = {
            "email": account.email,
            "username": account.username,
            "auth_method": account.method,
            "password_hash": account.sealed_hash,
            "password_needs_reset": is_local and account.role == ADMIN,
            "active": True,
            "is_system": account.role == SYSTEM,
            "created_at": now,
            "updated_at": now,
        }
        row_id = insert_user(connection, values, account.role)
        target = Target("user", global_id(USER, row_id), account.username)
        after = {"role": account.role, "auth_method": account.method}
        event = AuditEvent(EventName.USER_CREATED, target=target, after=after)
        self._audit.record(connection, event, Caller(SERVER))
