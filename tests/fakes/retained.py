"""Retention over one database and one clock, wired as the application does."""

from bennu.access import ADMIN, BUILT_IN_ROLES, Caller, Principal, PrincipalKind
from bennu.kernel.ids import SystemEntropy
from bennu.privacy.holds import LegalHolds
from bennu.privacy.lease import Lease
from bennu.privacy.policies import RetentionPolicies
from bennu.privacy.sweep import RetentionSweep
from bennu.storage.database import Database
from bennu.traces.spans.model import Span
from fakes.clock import FrozenClock
from fakes.spans import make_span
from fakes.stored import Stored
from fakes.trail import Trail, started_trail

OPERATOR = Caller(
    Principal(PrincipalKind.USER, "VXNlcjox", "ann", role=ADMIN, permissions=BUILT_IN_ROLES[ADMIN]),
    "192.0.2.7",
)
DAY = 86_400


async def no_pause(_: float) -> None:
    """Sleep without waiting."""


class Retained:
    """Policies, holds and the sweep of one process."""

    def __init__(self, database: Database, clock: FrozenClock, trail: Trail) -> None:
        self.database, self.clock, self.trail = database, clock, trail
        self.stored = Stored(database)
        self.policies = RetentionPolicies(database, trail.audit)
        self.holds = LegalHolds(database, trail.audit)
        self.lease = Lease("retention", SystemEntropy().bytes(8).hex(), clock)
        self.sweep = RetentionSweep(database, trail.audit, self.policies, self.lease, no_pause)

    def aged(self, number: int, days: float, **changes: object) -> Span:
        """Return a span, alone in its trace, that began so many days ago."""
        start_ns = int((self.clock.now_utc().timestamp() - days * DAY) * 1e9)
        return make_span(number, trace=number, start_ns=start_ns, end_ns=start_ns + 1, **changes)


async def retained(database: Database, clock: FrozenClock) -> Retained:
    return Retained(database, clock, await started_trail(database, clock))
