"""What is remembered of an erasure, and when. Kills: tests/spec/test_12_privacy.py. Spec: 265."""

from pathlib import Path

import pytest

from bennu.privacy.export_files import ExportFiles
from bennu.privacy.jobs_store import JobKind, JobStatus
from bennu.storage.database import Database
from fakes.clock import FrozenClock
from fakes.erasing import OPERATOR, erasing

pytestmark = pytest.mark.anyio


async def test_an_erasure_that_is_refused_is_not_remembered(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    """Otherwise the next start would carry out what everybody was told did not happen."""
    erasure = await erasing(database, clock, tmp_path)
    admin = await erasure.accounts.add_user("admin", "ADMIN")
    job = await erasure.erase(admin)
    assert (job.status, "admin" in job.problem) == (JobStatus.FAILED, True)
    assert erasure.ledger.entries() == ()
    await erasure.accounts.add_user("second", "ADMIN")
    assert await erasure.replay.replay_missing_erasures(erasure.jobs.key) == 0
    assert await erasure.accounts.read_user(admin) is not None


async def test_an_erasure_is_remembered_and_carried_out(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    erasure = await erasing(database, clock, tmp_path)
    user = await erasure.accounts.add_user("ada")
    job = await erasure.erase(user)
    assert (job.status, job.counts["accounts"]) == (JobStatus.DONE, 1)
    assert [entry.id for entry in erasure.ledger.entries()] == [job.entry_id]
    assert await erasure.accounts.read_user(user) is None


class BrokenDisk(ExportFiles):
    """Files of exports on a disk that cannot be written for a while."""

    is_broken = True

    async def drop_all(self) -> None:
        if self.is_broken:
            raise OSError(5, "Input/output error")
        await super().drop_all()


async def test_an_erasure_that_breaks_once_it_is_remembered_is_carried_out_by_itself(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    """To end as failed would be untrue: the next start would carry it out."""
    files = BrokenDisk(database, tmp_path / "exports")
    erasure = await erasing(database, clock, tmp_path, files)
    user = await erasure.accounts.add_user("ada")
    job = await erasure.erase(user)
    assert (job.status, "tried again" in job.problem) == (JobStatus.RUNNING, True)
    assert [entry.id for entry in erasure.ledger.entries()] == [job.entry_id]
    files.is_broken = False
    clock.advance(60)
    await erasure.jobs.run_waiting()
    job = await erasure.jobs.job(OPERATOR, JobKind.ERASURE, job.public_id)
    assert (job.status, job.problem, job.counts["accounts"]) == (JobStatus.DONE, "", 1)
    assert job.receipt is not None
    assert await erasure.replay.replay_missing_erasures(erasure.jobs.key) == 0
