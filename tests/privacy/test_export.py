"""Exports that another process took over. What they hold: tests/spec/test_12_privacy.py."""

import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bennu.access import Caller
from bennu.privacy.export import Exports
from bennu.privacy.export_files import ExportFiles
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind, JobStatus
from bennu.privacy.lease import LEASE_SECONDS, Lease, LeaseLostError
from bennu.privacy.subject import Subject
from bennu.storage.database import Database
from fakes.clock import FrozenClock
from fakes.erasing import OPERATOR, Erasing, erasing
from fakes.spans import make_span
from fakes.stored import Stored

pytestmark = pytest.mark.anyio
CALLER: Caller = OPERATOR


class CountedLease(Lease):
    """A lease that counts how often it was proved."""

    proofs = 0

    def prove(self, connection: Connection) -> None:
        self.proofs += 1
        super().prove(connection)


class Process:
    """What one process has for exports; all of them share a database and a folder."""

    def __init__(self, shared: Erasing, database: Database, folder: Path, name: str) -> None:
        jobs: PrivacyJobs = shared.jobs
        self.lease = CountedLease("privacy", name, database.clock)
        files = ExportFiles(database, folder)
        self.exports = Exports(database, shared.accounts.audit, jobs, self.lease, files)


async def test_who_comes_back_late_leaves_the_file_of_the_other_alone(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    shared, folder = await erasing(database, clock, tmp_path), tmp_path / "exports"
    late, other = (Process(shared, database, folder, name) for name in ("late", "other"))
    await database.write(late.lease.take)
    job = await shared.jobs.request_export(CALLER, Subject(attribute="user.id", value="x"))
    clock.advance(LEASE_SECONDS + 1)
    await database.write(other.lease.take)
    await other.exports.run(job)
    with pytest.raises(LeaseLostError):
        await late.exports.run(job)
    found: Job = await shared.jobs.job(CALLER, JobKind.EXPORT, job.public_id)
    assert (found.status, found.file_name) == (JobStatus.DONE, f"{job.entry_id}.zip")
    assert [path.name for path in folder.iterdir()] == [found.file_name]
    assert zipfile.ZipFile(folder / str(found.file_name)).testzip() is None


async def test_what_a_kill_left_half_written_goes(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    shared, folder = await erasing(database, clock, tmp_path), tmp_path / "exports"
    job = await shared.jobs.request_export(CALLER, Subject(attribute="user.id", value="x"))
    folder.mkdir()
    (folder / f"{job.entry_id}.killed.part").write_bytes(b"half")
    await Process(shared, database, folder, "next").exports.run(job)
    assert [path.name for path in folder.iterdir()] == [f"{job.entry_id}.zip"]


async def test_the_lease_is_kept_while_spans_are_looked_through(
    database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    shared, proofs = await erasing(database, clock, tmp_path), []
    for name in ("without spans", "with spans"):
        process = Process(shared, database, tmp_path / name, "process")
        job = await shared.jobs.request_export(CALLER, Subject(attribute="user.id", value=name))
        await process.exports.run(job)
        proofs.append(process.lease.proofs)
        await Stored(database).add("p", make_span(1))
    assert proofs[1] > proofs[0]
