"""When and from where each key was used last, written now and then instead of at every request.

Uses are collected in memory and written together: at the next beat the first use of a key, then
at most once a minute, and all before a list is shown and at the end of the server. What a killed
process held is lost, which is a minute of a date that nothing depends on.

Spec: line 248 (which keys are due for rotation, or not needed any more).
"""

from typing import Final

from bennu.access import Principal, PrincipalKind
from bennu.auth.api_keys.store import write_last_uses
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.ids import parse_global_id
from bennu.storage.database import Database

WRITE_EVERY_SECONDS: Final = 60


class LastUses:
    """The uses that were not written yet."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._uses: dict[str, tuple[int, str]] = {}
        self._written_at: dict[str, float] = {}

    def note_use(self, principal: Principal, address: str) -> None:
        """Remember that a key was used just now; other credentials are of no interest.

        Args:
            principal: who calls.
            address: the client's IP address, "" when there is none.
        """
        if principal.is_key:
            now = to_microseconds(self._clock.now_utc())
            is_certificate = principal.kind is PrincipalKind.CERTIFICATE
            key = principal.public_id if is_certificate else principal.credential_id
            self._uses[key] = (now, address)

    async def write_uses(self, *, all_uses: bool = False) -> None:
        """Write what is due, or everything.

        Raises:
            UnavailableError: the database is away; what was not written is kept.
        """
        now = self._clock.monotonic_seconds()
        due = {
            key: use
            for key, use in self._uses.items()
            if all_uses
            or now - self._written_at.get(key, -WRITE_EVERY_SECONDS) >= WRITE_EVERY_SECONDS
        }
        rows = {parsed[1]: use for key, use in due.items() if (parsed := parse_global_id(key))}
        if not rows:
            return
        await self._database.write(lambda connection: write_last_uses(connection, rows))
        for key, use in due.items():
            self._written_at[key] = now
            if self._uses.get(key) == use:
                del self._uses[key]
