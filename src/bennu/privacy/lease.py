"""Work that one process at a time may do: a row says who, and until when.

The holder proves it in every transaction of its work, so one that was suspended and comes back
late changes nothing. PostgreSQL locks the row; SQLite has one writer at a time anyway.
"""

from typing import Final

from sqlalchemy import Connection, delete, or_, update

from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import UnavailableError
from bennu.storage.schema import leases
from bennu.storage.upsert import insert_unless_present

#: Longer than any single transaction of the work; short, so that work goes on after a kill.
LEASE_SECONDS: Final = 15


class LeaseLostError(UnavailableError):
    """Another process does this work now."""

    code = "lease_lost"


class Lease:
    """One piece of work, seen from one process.

    Args:
        name: of the work.
        holder: random, of this process.
        clock: what time it is; processes that share a database have about the same.
    """

    def __init__(self, name: str, holder: str, clock: Clock) -> None:
        self._name, self._holder, self._clock = name, holder, clock

    @property
    def holder(self) -> str:
        """Random, of this process."""
        return self._holder

    def take(self, connection: Connection) -> bool:
        """Take it, or keep it; False when another process holds it."""
        now = to_microseconds(self._clock.now_utc())
        fresh = {"name": self._name, "holder": "", "expires_at": 0}
        insert_unless_present(connection, leases, [fresh])
        is_free = or_(leases.c.holder == self._holder, leases.c.expires_at <= now)
        taken = connection.execute(
            update(leases)
            .where(leases.c.name == self._name, is_free)
            .values(holder=self._holder, expires_at=now + LEASE_SECONDS * 1_000_000)
        )
        return taken.rowcount == 1

    def prove(self, connection: Connection) -> None:
        """Keep it for another while, in a transaction of the work itself.

        Raises:
            LeaseLostError: another process has it; nothing may be changed.
        """
        if not self.take(connection):
            raise LeaseLostError("Another process does this work", detail=self._name)

    def give_back(self, connection: Connection) -> None:
        """Let others take it at once."""
        mine = (leases.c.name == self._name) & (leases.c.holder == self._holder)
        connection.execute(delete(leases).where(mine))
