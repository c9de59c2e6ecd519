"""That a session is in use, written now and then instead of at every request.

An idle session ends; one that is used lives on, up to its absolute limit. Uses are collected in
memory and written together, a few times per idle limit and at most once a minute. What a killed
process held is lost: a minute of an idle limit.

Spec: line 257. Source: OWASP ASVS 5.0 V7.3.1 (inactivity), V7.3.2 (absolute limit).
"""

from datetime import timedelta
from math import inf
from typing import Final

from bennu.access import Principal
from bennu.auth.sessions.store import extend_sessions
from bennu.auth.settings import AuthSettings
from bennu.kernel.clock import Clock, to_microseconds
from bennu.storage.database import Database

_WRITE_EVERY_SECONDS: Final = 60.0
#: So often within the idle limit, so that a session in use never seems to be idle.
_WRITES_PER_IDLE_LIMIT: Final = 8
_MICROSECOND: Final = timedelta(microseconds=1)


class SessionActivity:
    """The uses of sessions that were not written yet."""

    def __init__(self, database: Database, clock: Clock, settings: AuthSettings) -> None:
        self._database, self._clock = database, clock
        self._idle = settings.session_idle_limit // _MICROSECOND
        self._absolute = settings.session_absolute_lifetime // _MICROSECOND
        idle_seconds = settings.session_idle_limit.total_seconds()
        #: How often a session's use is written at most.
        self.every_seconds: Final = min(_WRITE_EVERY_SECONDS, idle_seconds / _WRITES_PER_IDLE_LIMIT)
        self._uses: dict[int, int] = {}
        self._written_at: dict[int, float] = {}  # in monotonic seconds

    def note_use(self, principal: Principal) -> None:
        """Remember that a session was used just now; other credentials are of no interest."""
        if principal.session_id is not None:
            self._uses[principal.session_id] = to_microseconds(self._clock.now_utc())

    async def write_uses(self, *, all_uses: bool = False) -> None:
        """Write what is due, or everything.

        Raises:
            UnavailableError: the database is away; what was not written is kept.
        """
        now, pause = self._clock.monotonic_seconds(), self.every_seconds
        due = {
            session_id: used_at
            for session_id, used_at in self._uses.items()
            if all_uses or now - self._written_at.get(session_id, -inf) >= pause
        }
        if not due:
            return
        idle, absolute = self._idle, self._absolute
        await self._database.write(lambda c: extend_sessions(c, due, idle, absolute))
        kept = {s: at for s, at in self._written_at.items() if now - at < pause}
        self._written_at = {**kept, **dict.fromkeys(due, now)}
        self._uses = {s: at for s, at in self._uses.items() if due.get(s) != at}
