"""An audit trail to look at: its vault, its writer, and records of a user's changes."""

from sqlalchemy import Connection, select

from bennu.access import Caller, Principal, PrincipalKind
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.schema import audit_events
from fakes.clock import FrozenClock

CALLER = Caller(Principal(PrincipalKind.USER, "VXNlcjox", "ann@example.com"), "192.0.2.7")
SECRET = "0123456789abcdef0123456789abcdef"
KEYRING = Keyring.from_secrets(Secret(SECRET))


class Trail:
    """The audit trail of one database."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self.database, self.clock = database, clock
        self.vault = Vault(Cipher(KEYRING), clock, SystemEntropy())
        self.audit = AuditLog(database, clock, SystemEntropy(), self.vault)

    async def write(self, records: int) -> None:
        """Append records in one transaction."""

        def work(connection: Connection) -> None:
            for number in range(records):
                target = Target("user", str(number), f"user {number}")
                event = AuditEvent(EventName.USER_CHANGED, target=target, after={"role": "ADMIN"})
                self.audit.record(connection, event, CALLER)

        await self.database.write(work)

    async def sequences(self) -> list[int]:
        statement = select(audit_events.c.sequence).order_by(audit_events.c.sequence)
        return list(await self.database.read(lambda c: c.execute(statement).scalars().all()))


async def started_trail(database: Database, clock: FrozenClock, records: int = 0) -> Trail:
    trail = Trail(database, clock)
    await trail.audit.start()
    await trail.write(records)
    return trail
