"""Wires retention, legal holds, exports and erasures; a part of the composition root.

Spec: lines 261-266.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from bennu.access import Caller
from bennu.audit.log import AuditLog
from bennu.encryption.vault import Vault
from bennu.httpio.route import Route
from bennu.kernel.errors import NotFoundError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.tasks import Repeated
from bennu.privacy.deletion import Erasures
from bennu.privacy.erased_store import is_mentioned
from bennu.privacy.erasure_routes import erasure_routes
from bennu.privacy.export import Exports
from bennu.privacy.export_files import FOLDER_NAME, ExportFiles
from bennu.privacy.export_routes import export_routes
from bennu.privacy.hold_routes import hold_routes
from bennu.privacy.holds import LegalHolds
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind
from bennu.privacy.lease import Lease
from bennu.privacy.ledger import FILE_NAME, ErasureLedger
from bennu.privacy.policies import RetentionPolicies
from bennu.privacy.replay import ErasureReplay
from bennu.privacy.retention_routes import retention_routes
from bennu.privacy.subject import Subject
from bennu.privacy.sweep import RetentionSweep
from bennu.settings import Settings
from bennu.storage.database import Database
from bennu.users.flow import refuse_deletion
from bennu.users.store import find_user

_LOOK_SECONDS: Final = 5.0
_JOB_LOOK_SECONDS: Final = 1.0
_FILE_LOOK_SECONDS: Final = 60.0
_HOLDER_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PrivacyParts:
    """What the application serves of retention, holds, exports and erasures.

    Args:
        policies: for pages.
        holds: for pages.
        jobs: for pages.
        exports: for pages.
        sweep: counts what it deletes.
        replay: of erasures that a restored backup does not know of.
        routes: of the interface.
        repeated: what runs beside requests.
        default_days: ``PHOENIX_DEFAULT_RETENTION_POLICY_DAYS``.
    """

    policies: RetentionPolicies
    holds: LegalHolds
    jobs: PrivacyJobs
    exports: Exports
    sweep: RetentionSweep
    replay: ErasureReplay
    routes: tuple[Route, ...]
    repeated: tuple[Repeated, ...]
    default_days: int

    async def start(self) -> None:
        """Begin, once the database and the audit trail have.

        Raises:
            UnavailableError: the database or the ledger of erasures cannot be used now.
        """
        await self.jobs.start()
        await self.replay.replay_missing_erasures(self.jobs.key)
        await self.sweep.begin(self.default_days)

    async def erase_user(self, caller: Caller, user_id: str) -> None:
        """Erase a user and return when it is done.

        Raises:
            AppError: it must not be, or cannot be now.
        """
        await self.jobs.finish(await self.jobs.request_erasure(caller, Subject(user_id=user_id)))


def check_erasure(connection: Connection, caller: Caller, subject: Subject) -> None:
    """Refuse the erasure of an account that must stay, and of one that nothing is known of.

    Raises:
        DeniedError: it is the system user, the caller, or somebody who may do more.
        ConflictError: it is the last admin.
        NotFoundError: there is no such user, and none is named in the audit trail.
    """
    if not subject.user_id:
        return
    user = find_user(connection, subject.user_row)
    if user is not None:
        refuse_deletion(connection, caller, user)
    elif not is_mentioned(connection, subject.user_id):
        raise NotFoundError("User not found")


def wire_privacy(
    settings: Settings, database: Database, audit: AuditLog, vault: Vault
) -> PrivacyParts:
    """Build the flows and the routes."""
    entropy, clock = SystemEntropy(), database.clock
    holder, folder = entropy.bytes(_HOLDER_BYTES).hex(), settings.storage.working_dir
    policies, holds = RetentionPolicies(database, audit), LegalHolds(database, audit)
    sweep = RetentionSweep(database, audit, policies, Lease("retention", holder, clock))
    lease = Lease("privacy", holder, clock)
    jobs = PrivacyJobs(database, vault, audit, entropy, lease)
    jobs.check_erasure = check_erasure
    ledger = ErasureLedger(settings.privacy.erasure_ledger or folder / FILE_NAME)
    files = ExportFiles(database, folder / FOLDER_NAME)
    erasures = Erasures(database, vault, audit, ledger, lease, files)

    async def run_erasure(job: Job) -> None:
        await erasures.run(job, jobs.key)

    exports = Exports(database, audit, jobs, lease, files)
    jobs.runners = {JobKind.ERASURE: run_erasure, JobKind.EXPORT: exports.run}
    look, job_look, file_look = _LOOK_SECONDS, _JOB_LOOK_SECONDS, _FILE_LOOK_SECONDS
    return PrivacyParts(
        policies=policies,
        holds=holds,
        jobs=jobs,
        exports=exports,
        sweep=sweep,
        replay=ErasureReplay(database, vault, audit, ledger, erasures),
        routes=(
            *retention_routes(policies),
            *hold_routes(holds),
            *erasure_routes(jobs),
            *export_routes(jobs, exports),
        ),
        repeated=(
            Repeated("retention.sweep", sweep.sweep_due_policies, look, look),
            Repeated("privacy.jobs", jobs.run_waiting, job_look, job_look),
            Repeated("privacy.files", files.sweep_export_files, file_look, file_look),
        ),
        default_days=settings.privacy.default_retention_days,
    )
