"""Seeing sessions and ending them: one's own, and anybody's by those who manage accounts.

Spec: lines 257-258. Source: OWASP ASVS 5.0 V7.4.2, V7.4.5, V7.5.2.
"""

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.auth.sessions.activity import SessionActivity
from bennu.auth.sessions.flow import SESSION
from bennu.auth.sessions.store import (
    SessionRow,
    delete_session,
    delete_sessions_of,
    live_sessions_of,
)
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import DeniedError, NotFoundError
from bennu.kernel.ids import global_id, row_id_of
from bennu.storage.database import Database
from bennu.storage.epoch import move_security_epoch
from bennu.users.flow import Users, refuse_account_above
from bennu.users.model import USER
from bennu.users.store import find_user


class SessionOverview:
    """The flows over sessions that are open."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        audit: AuditLog,
        users: Users,
        activity: SessionActivity,
    ) -> None:
        self._database, self._clock, self._audit = database, clock, audit
        self._users, self._activity = users, activity

    async def list_own_sessions(self, caller: Caller) -> list[SessionRow]:
        """Return the open sessions of the caller, the one used last first.

        Raises:
            DeniedError: the caller is no signed-in person.
        """
        return await self._live_sessions(_own_user_id(caller))

    async def list_sessions_of(self, identifier: str) -> list[SessionRow]:
        """Return the open sessions of a user, the one used last first.

        Raises:
            InvalidError: it is no public id of a user.
            NotFoundError: there is none.
        """
        return await self._live_sessions((await self._users.get_user(identifier)).row_id)

    async def _live_sessions(self, user_id: int) -> list[SessionRow]:
        await self._activity.write_uses(all_uses=True)
        now = to_microseconds(self._clock.now_utc())
        return await self._database.read(lambda c: live_sessions_of(c, user_id, now))

    async def end_own_session(self, caller: Caller, identifier: str) -> bool:
        """End one of the caller's sessions; say whether it was the one that asked.

        Raises:
            DeniedError: the caller is no signed-in person.
            NotFoundError: it is none of the caller's open sessions.
        """
        user_id, row_id = _own_user_id(caller), row_id_of(identifier, SESSION)
        if row_id is None:
            raise NotFoundError("Session not found")

        def work(connection: Connection) -> None:
            move_security_epoch(connection)
            if not delete_session(connection, row_id, user_id):
                raise NotFoundError("Session not found")
            target = Target("session", global_id(SESSION, row_id))
            event = AuditEvent(EventName.SESSION_ENDED, target=target)
            self._audit.record(connection, event, caller)

        await self._database.write(work)
        return row_id == caller.principal.session_id

    async def end_own_sessions(self, caller: Caller, *, keep_current: bool) -> int:
        """End all sessions of the caller, or all but the one that asks; return how many.

        Raises:
            DeniedError: the caller is no signed-in person.
        """
        user_id, name = _own_user_id(caller), caller.principal.name
        kept = caller.principal.session_id if keep_current else None

        def work(connection: Connection) -> int:
            move_security_epoch(connection)
            return self._end(connection, caller, user_id, name, kept)

        return await self._database.write(work)

    async def end_sessions_of(self, caller: Caller, identifier: str) -> int:
        """End all sessions of a user; return how many there were. API keys stay.

        Raises:
            InvalidError: it is no public id of a user.
            NotFoundError: there is none.
            DeniedError: the user may do more than the caller.
        """
        row_id = (await self._users.get_user(identifier)).row_id

        def work(connection: Connection) -> int:
            move_security_epoch(connection)
            # Read under the lock: the role may have changed since, or the account be gone.
            user = find_user(connection, row_id)
            if user is None:
                raise NotFoundError("User not found")
            refuse_account_above(connection, caller, user)
            return self._end(connection, caller, row_id, user.username, None)

        return await self._database.write(work)

    def _end(
        self, connection: Connection, caller: Caller, user_id: int, name: str, kept: int | None
    ) -> int:
        ended = delete_sessions_of(connection, user_id, kept)
        if ended:
            target = Target("user", global_id(USER, user_id), name)
            event = AuditEvent(EventName.SESSION_ENDED, target=target, after={"sessions": ended})
            self._audit.record(connection, event, caller)
        return ended


def _own_user_id(caller: Caller) -> int:
    user_id = caller.principal.user_id
    if user_id is None or not caller.principal.is_session:
        raise DeniedError("Only a signed-in person has sessions", detail="not a session")
    return user_id
