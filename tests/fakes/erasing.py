"""Jobs of privacy and the erasures behind them over one database, wired as the application does."""

from pathlib import Path

from bennu.access import ADMIN, BUILT_IN_ROLES, Caller, Principal, PrincipalKind
from bennu.kernel.ids import SystemEntropy, global_id
from bennu.privacy.deletion import Erasures
from bennu.privacy.export_files import FOLDER_NAME, ExportFiles
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind
from bennu.privacy.lease import Lease
from bennu.privacy.ledger import ErasureLedger
from bennu.privacy.replay import ErasureReplay
from bennu.privacy.subject import Subject
from bennu.storage.database import Database
from bennu.users.model import USER, User
from fakes.accounts import Accounts
from fakes.clock import FrozenClock

OPERATOR = Caller(
    Principal(PrincipalKind.ADMIN_SECRET, "operator", role=ADMIN, permissions=BUILT_IN_ROLES[ADMIN])
)


class Erasing:
    """Erasures with their ledger in a folder."""

    def __init__(
        self,
        database: Database,
        clock: FrozenClock,
        folder: Path,
        files: ExportFiles | None = None,
    ) -> None:
        self.accounts = Accounts(database, clock)
        self.ledger = ErasureLedger(folder / "ledger")
        vault, audit = self.accounts.vault, self.accounts.audit
        lease = Lease("privacy", "this process", clock)
        self.jobs = PrivacyJobs(database, vault, audit, SystemEntropy(), lease)
        files = files or ExportFiles(database, folder / FOLDER_NAME)
        self.erasures = Erasures(database, vault, audit, self.ledger, lease, files)
        self.replay = ErasureReplay(database, vault, audit, self.ledger, self.erasures)
        self.jobs.runners = {JobKind.ERASURE: self._run}

    async def _run(self, job: Job) -> None:
        await self.erasures.run(job, self.jobs.key)

    async def erase(self, user: User) -> Job:
        """Ask for the erasure of an account and run it; return how it ended."""
        job = await self.jobs.request_erasure(OPERATOR, Subject(global_id(USER, user.row_id)))
        await self.jobs.run_waiting()
        return await self.jobs.job(OPERATOR, JobKind.ERASURE, job.public_id)


async def erasing(
    database: Database, clock: FrozenClock, folder: Path, files: ExportFiles | None = None
) -> Erasing:
    """Return started erasures."""
    made = Erasing(database, clock, folder, files)
    await made.accounts.audit.start()
    await made.jobs.start()
    return made
