"""Who may ask for exports and erasures and see them, and how they are run. Spec: 265-266."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from bennu.access import ADMIN, BUILT_IN_ROLES, MEMBER, Caller, Permission, Principal, PrincipalKind
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import ConflictError, NotFoundError, UnavailableError
from bennu.kernel.ids import SystemEntropy, global_id
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import PROMISED, Job, JobKind, JobStatus, change_job, end_job
from bennu.privacy.lease import Lease
from bennu.privacy.subject import Subject
from bennu.storage.database import Database
from bennu.users.model import USER
from fakes.clock import FrozenClock
from fakes.trail import started_trail

pytestmark = pytest.mark.anyio

SOMEBODY = Subject(attribute="user.id", value="somebody")


def person(row: int, role: str = MEMBER) -> Principal:
    """Return somebody who is signed in."""
    return Principal(
        PrincipalKind.USER,
        global_id(USER, row),
        role=role,
        permissions=BUILT_IN_ROLES[role],
        user_id=row,
        session_id=1,
    )


def key_of(owner: Principal, *permissions: Permission, projects: set[int] | None = None) -> Caller:
    """Return a key of somebody, restricted to permissions and projects where they are given."""
    key = replace(
        owner,
        kind=PrincipalKind.USER_KEY,
        session_id=None,
        permissions=frozenset(permissions) or owner.permissions,
        project_ids=None if projects is None else frozenset(projects),
    )
    return Caller(key)


MEMBERING, ADMINISTERING = person(7), person(8, ADMIN)


@pytest.fixture
async def jobs(database: Database, clock: FrozenClock) -> PrivacyJobs:
    trail = await started_trail(database, clock)
    lease = Lease("privacy", "this process", clock)
    made = PrivacyJobs(database, trail.vault, trail.audit, SystemEntropy(), lease)
    await made.start()
    return made


async def sees(jobs: PrivacyJobs, caller: Caller, job: Job) -> bool:
    """Whether a caller finds a job by its id; the list must say the same."""
    listed = job.public_id in [one.public_id for one in await jobs.jobs(caller, JobKind.EXPORT)]
    try:
        await jobs.job(caller, JobKind.EXPORT, job.public_id)
    except NotFoundError:
        assert not listed
        return False
    assert listed
    return True


# --- who sees what -----------------------------------------------------------------------------


async def test_own_exports_are_seen_by_their_owner_and_by_unrestricted_keys(
    jobs: PrivacyJobs,
) -> None:
    job = await jobs.request_export(Caller(MEMBERING), None)
    assert await sees(jobs, Caller(MEMBERING), job)
    assert await sees(jobs, key_of(MEMBERING), job)
    assert await sees(jobs, Caller(ADMINISTERING), job)
    assert not await sees(jobs, Caller(person(9)), job)


@pytest.mark.parametrize("owner", [MEMBERING, ADMINISTERING])
async def test_a_restricted_key_sees_no_export_of_its_owner(
    jobs: PrivacyJobs, owner: Principal
) -> None:
    job = await jobs.request_export(Caller(owner), None)
    assert not await sees(jobs, key_of(owner, Permission.TRACES_WRITE), job)
    assert not await sees(jobs, key_of(owner, Permission.TRACES_READ, projects={1}), job)


async def test_exports_about_others_are_seen_by_those_who_may_ask_for_them(
    jobs: PrivacyJobs,
) -> None:
    job = await jobs.request_export(Caller(ADMINISTERING), SOMEBODY)
    of_member = await jobs.request_export(Caller(ADMINISTERING), Subject(MEMBERING.public_id))
    reads = (Permission.TRACES_READ, Permission.ANNOTATIONS_READ, Permission.PROJECTS_READ)
    for one in (job, of_member):
        assert await sees(jobs, Caller(ADMINISTERING), one)
        assert await sees(jobs, key_of(ADMINISTERING, Permission.PRIVACY_EXPORT), one)
        assert not await sees(jobs, key_of(ADMINISTERING, *reads), one)
        # Who was an admin when it was asked for, and is none any more.
        assert not await sees(jobs, Caller(person(8)), one)


# --- the running -------------------------------------------------------------------------------


class Runs:
    """What ran, in order; a job about ``failing`` ends as its error says."""

    def __init__(self, jobs: PrivacyJobs, database: Database) -> None:
        self.names: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.afterwards: dict[str, Callable[[], Awaitable[Job]]] = {}
        self.ready: dict[str, object] = {}
        self._database = database
        jobs.runners = {JobKind.EXPORT: self._run, JobKind.ERASURE: self._run}

    async def _run(self, job: Job) -> None:
        assert job.subject is not None
        name = str(job.subject.value)
        self.names.append(name)
        if name in self.errors:
            raise self.errors[name]
        if name in self.afterwards:
            await self.afterwards[name]()
        done = {"status": JobStatus.DONE, **self.ready}
        await self._database.write(lambda c: end_job(c, job.row_id, 1, **done))


@pytest.fixture
def runs(jobs: PrivacyJobs, database: Database) -> Runs:
    return Runs(jobs, database)


def named(name: str) -> Subject:
    return Subject(attribute="user.id", value=name)


async def test_a_job_that_breaks_ends_and_the_next_ones_run(
    jobs: PrivacyJobs, runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller(ADMINISTERING)
    runs.errors = {"full": OSError(28, "No space left"), "broken": OverflowError("too large")}
    ids = {
        name: (await jobs.request_export(caller, named(name))).public_id
        for name in ("full", "broken", "good")
    }
    with caplog.at_level(logging.ERROR, "bennu.privacy"):
        await jobs.run_waiting()
    assert runs.names == ["full", "broken", "good"]
    found = {name: await jobs.job(caller, JobKind.EXPORT, one) for name, one in ids.items()}
    assert (found["full"].status, found["full"].problem) == (JobStatus.FAILED, "Internal error")
    assert (found["broken"].status, found["good"].status) == (JobStatus.FAILED, JobStatus.DONE)
    assert found["broken"].subject is None
    assert [record.message for record in caplog.records] == ["privacy.job_broke"] * 2
    await jobs.run_waiting()
    assert len(runs.names) == 3


async def promised(jobs: PrivacyJobs, database: Database, name: str) -> Job:
    """Ask for an erasure that is remembered outside the database already."""
    job = await jobs.request_erasure(Caller(ADMINISTERING), named(name))
    await database.write(lambda c: change_job(c, job.row_id, position={PROMISED: True}))
    return job


@pytest.mark.parametrize("error", [ConflictError("The last admin"), OSError(5, "broken")])
async def test_what_is_promised_is_tried_again_later_and_later(
    jobs: PrivacyJobs, runs: Runs, database: Database, clock: FrozenClock, error: Exception
) -> None:
    job = await promised(jobs, database, "ada")
    runs.errors = {"ada": error}
    await jobs.run_waiting()
    waited = []
    for _ in range(12):
        pause_seconds, runs.names = 0, []
        while not runs.names:
            clock.advance(5)
            pause_seconds += 5
            await jobs.run_waiting()
        waited.append(pause_seconds)
    assert waited == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    found = await jobs.job(Caller(ADMINISTERING), JobKind.ERASURE, job.public_id)
    assert (found.status, found.subject) == (JobStatus.RUNNING, named("ada"))
    assert found.problem.startswith(
        ("The last admin; it is tried again", "Internal error; it is tried again")
    )


async def test_others_run_while_what_is_promised_waits(
    jobs: PrivacyJobs, runs: Runs, database: Database
) -> None:
    await promised(jobs, database, "ada")
    runs.errors = {"ada": OSError(5, "broken")}
    await jobs.request_erasure(Caller(ADMINISTERING), named("bob"))
    await jobs.run_waiting()
    await jobs.request_export(Caller(ADMINISTERING), SOMEBODY)
    await jobs.run_waiting()
    assert runs.names == ["ada", "bob", "somebody"]


async def test_who_waits_for_what_is_promised_is_told_that_it_comes_later(
    jobs: PrivacyJobs, runs: Runs, database: Database, clock: FrozenClock
) -> None:
    job = await promised(jobs, database, "ada")
    runs.errors = {"ada": OSError(5, "broken")}
    for _ in range(2):
        with pytest.raises(UnavailableError, match="tried again"):
            await jobs.finish(job)
    runs.errors = {}
    clock.advance(10)
    found = await jobs.finish(job)
    assert (found.status, found.problem) == (JobStatus.DONE, "")
    assert runs.names == ["ada", "ada"]


async def test_what_cannot_be_done_now_is_taken_up_later(jobs: PrivacyJobs, runs: Runs) -> None:
    job = await jobs.request_export(Caller(ADMINISTERING), named("later"))
    runs.errors = {"later": UnavailableError("The database is away")}
    with pytest.raises(UnavailableError):
        await jobs.run_waiting()
    runs.errors = {}
    await jobs.run_waiting()
    found = await jobs.job(Caller(ADMINISTERING), JobKind.EXPORT, job.public_id)
    assert (runs.names, found.status) == (["later", "later"], JobStatus.DONE)


async def test_erasures_go_before_exports_and_those_that_come_meanwhile_too(
    jobs: PrivacyJobs, runs: Runs
) -> None:
    caller = Caller(ADMINISTERING)
    for name in ("export 1", "export 2"):
        await jobs.request_export(caller, named(name))
    await jobs.request_erasure(caller, named("erasure 1"))
    runs.afterwards["export 1"] = lambda: jobs.request_erasure(caller, named("erasure 2"))
    await jobs.run_waiting()
    assert runs.names == ["erasure 1", "export 1", "erasure 2", "export 2"]


# --- how many ----------------------------------------------------------------------------------


async def test_one_export_of_a_person_is_under_way_at_a_time(jobs: PrivacyJobs, runs: Runs) -> None:
    caller = Caller(ADMINISTERING)
    await jobs.request_export(caller, SOMEBODY)
    await jobs.request_export(caller, named("another"))
    await jobs.request_export(Caller(person(9, ADMIN)), SOMEBODY)
    with pytest.raises(ConflictError, match="under way"):
        await jobs.request_export(caller, SOMEBODY)
    await jobs.run_waiting()
    assert len(runs.names) == 3
    await jobs.request_export(caller, SOMEBODY)


async def test_so_many_exports_of_one_person_wait_or_lie_ready(
    jobs: PrivacyJobs, runs: Runs, clock: FrozenClock
) -> None:
    caller = Caller(ADMINISTERING)
    later = to_microseconds(clock.now_utc()) + 60_000_000
    runs.ready = {"file_name": "a.zip", "expires_at": later}
    for number in range(10):
        await jobs.request_export(caller, named(str(number)))
        if number == 4:
            await jobs.run_waiting()
    with pytest.raises(ConflictError, match="10 exports"):
        await jobs.request_export(caller, SOMEBODY)
    await jobs.request_erasure(caller, SOMEBODY)
    await jobs.request_export(Caller(MEMBERING), None)
    clock.advance(61)
    await jobs.request_export(caller, SOMEBODY)


async def test_requests_at_the_same_time_are_counted_one_after_the_other(
    jobs: PrivacyJobs,
) -> None:
    asked = [jobs.request_export(Caller(ADMINISTERING), SOMEBODY) for _ in range(6)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(type(one) is ConflictError for one in answers) == [False, *[True] * 5]
