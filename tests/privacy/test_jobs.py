"""Who may ask for exports and erasures and see them, and how they are run. Spec: 265-266."""

from dataclasses import replace

import pytest

from bennu.access import ADMIN, BUILT_IN_ROLES, MEMBER, Caller, Permission, Principal, PrincipalKind
from bennu.kernel.errors import NotFoundError
from bennu.kernel.ids import SystemEntropy, global_id
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind
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
