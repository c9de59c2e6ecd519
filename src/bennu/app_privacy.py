"""Wires retention, legal holds, exports and erasures; a part of the composition root.

Spec: lines 261-266.
"""

from dataclasses import dataclass
from typing import Final

from bennu.audit.log import AuditLog
from bennu.httpio.route import Route
from bennu.kernel.ids import Entropy
from bennu.kernel.tasks import Repeated
from bennu.privacy.hold_routes import hold_routes
from bennu.privacy.holds import LegalHolds
from bennu.privacy.lease import Lease
from bennu.privacy.policies import RetentionPolicies
from bennu.privacy.retention_routes import retention_routes
from bennu.privacy.sweep import RetentionSweep
from bennu.settings import Settings
from bennu.storage.database import Database

_LOOK_SECONDS: Final = 5.0
_HOLDER_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PrivacyParts:
    """What the application serves of retention, holds, exports and erasures.

    Args:
        policies: for pages.
        holds: for pages.
        sweep: counts what it deletes.
        routes: of the interface.
        repeated: what runs beside requests.
        default_days: ``PHOENIX_DEFAULT_RETENTION_POLICY_DAYS``.
    """

    policies: RetentionPolicies
    holds: LegalHolds
    sweep: RetentionSweep
    routes: tuple[Route, ...]
    repeated: tuple[Repeated, ...]
    default_days: int

    async def start(self) -> None:
        """Begin, once the database and the audit trail have.

        Raises:
            UnavailableError: the database cannot serve now.
        """
        await self.sweep.begin(self.default_days)


def wire_privacy(
    settings: Settings, database: Database, audit: AuditLog, entropy: Entropy
) -> PrivacyParts:
    """Build the flows and the routes."""
    holder = entropy.bytes(_HOLDER_BYTES).hex()
    policies = RetentionPolicies(database, audit)
    holds = LegalHolds(database, audit)
    lease = Lease("retention", holder, database.clock)
    sweep = RetentionSweep(database, audit, policies, lease)
    look = _LOOK_SECONDS
    return PrivacyParts(
        policies=policies,
        holds=holds,
        sweep=sweep,
        routes=(*retention_routes(policies), *hold_routes(holds)),
        repeated=(Repeated("retention.sweep", sweep.sweep_due_policies, look, look),),
        default_days=settings.privacy.default_retention_days,
    )
