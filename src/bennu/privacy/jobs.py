"""Exports and erasures as jobs: asked for, looked at, and run one after the other.

One process at a time runs them; what a killed one left half done is taken up where it stood.

Spec: lines 265-266.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from bennu.access import (
    Caller,
    Permission,
    Principal,
    PrincipalKind,
    require,
)
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.encryption.vault import Vault
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import (
    AppError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from bennu.kernel.ids import Entropy, row_id_of
from bennu.privacy.jobs_store import (
    JOB,
    Actor,
    Job,
    JobKind,
    JobStatus,
    change_job,
    count_exports,
    end_job,
    find_job,
    has_unfinished_export,
    has_unfinished_jobs,
    insert_job,
    jobs_of,
    next_job,
)
from bennu.privacy.lease import Lease, LeaseLostError
from bennu.privacy.ledger import PURPOSE, subject_digest
from bennu.privacy.subject import Subject, subject_names
from bennu.storage.database import Database
from bennu.storage.epoch import hold_security_epoch

logger: Final = logging.getLogger("bennu.privacy")

_ENTRY_BYTES: Final = 16
_SHOWN: Final = 100
#: Of one person, waiting, running or lying ready: each may be as large as the database.
_MOST_EXPORTS: Final = 10
_WAIT_SECONDS: Final = 0.05
#: What people read of a job that met a fault of the server or its disk; the log says more.
_BROKE: Final = "Internal error"
_AGAIN: Final = "; it is tried again by itself until it is done"
_FIRST_PAUSE_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 3_600.0

Runner = Callable[[Job], Awaitable[None]]
#: Refuses an erasure that must not be, within the transaction that takes it down.
Check = Callable[[Connection, Caller, Subject], None]


class PrivacyJobs:
    """What people ask for, and the running of it."""

    def __init__(
        self, database: Database, vault: Vault, audit: AuditLog, entropy: Entropy, lease: Lease
    ) -> None:
        self._database, self._vault, self._audit = database, vault, audit
        self._clock, self._entropy, self._lease = database.clock, entropy, lease
        self._key = b""
        self._running = asyncio.Lock()
        #: By row of a job that is tried again: the pause before it, and when that ends.
        self._pauses: dict[int, tuple[float, float]] = {}
        self.runners: Mapping[JobKind, Runner] = {}
        self.check_erasure: Check | None = None

    async def start(self) -> None:
        """Make the key of the ledger with the database, so that every backup has it."""
        self._key = await self._database.write(lambda c: self._vault.purpose_key(c, PURPOSE))

    @property
    def key(self) -> bytes:
        """The key of the ledger."""
        return self._key

    # --- asking ----------------------------------------------------------------------------

    async def request_erasure(
        self, caller: Caller, subject: Subject, *, dry_run: bool = False
    ) -> Job:
        """Take down that a person is to be erased, or only counted.

        Raises:
            DeniedError: the permission is missing, or the account must not be deleted.
            SchemaError: the subject names nobody.
            NotFoundError: nothing is known of this user.
            ConflictError: it is the last admin.
        """
        _require(caller, Permission.PRIVACY_ERASE)
        subject.check()
        job = self._new(caller, JobKind.ERASURE, subject)
        return await self._take_down(
            caller, replace(job, dry_run=dry_run), EventName.PRIVACY_ERASED
        )

    async def request_export(self, caller: Caller, subject: Subject | None) -> Job:
        """Take down an export: of the caller's own data, or with the permission of anybody's.

        Raises:
            DeniedError: it is somebody else's, or the key may do less than its owner.
            SchemaError: the subject names nobody.
            ConflictError: the same is under way, or too many wait or lie ready.
        """
        own = caller.principal.user_id
        if subject is None and own is None:
            raise InvalidError("This caller is no person; name a subject")
        wanted = Subject(user_id=caller.principal.public_id) if subject is None else subject
        wanted.check()
        if wanted.user_id and own is not None and wanted.user_row == own:
            _refuse_part(caller.principal)
        else:
            _require(caller, Permission.PRIVACY_EXPORT)
        job = self._new(caller, JobKind.EXPORT, wanted)
        return await self._take_down(caller, job, EventName.PRIVACY_EXPORTED)

    def _new(self, caller: Caller, kind: JobKind, subject: Subject) -> Job:
        who = caller.principal
        actor = Actor(
            str(who.kind),
            who.public_id,
            who.name,
            who.credential_id,
            who.is_session,
            caller.address,
            caller.user_agent,
            caller.request_id,
        )
        return Job(
            row_id=0,
            kind=kind,
            status=JobStatus.QUEUED,
            dry_run=False,
            requested_by=who.public_id,
            subject=subject,
            subject_kind=subject.kind,
            subject_digest=subject_digest(self._key, subject_names(subject)[0]),
            actor=actor,
            entry_id=self._entropy.bytes(_ENTRY_BYTES).hex(),
            created_at=to_microseconds(self._clock.now_utc()),
        )

    async def _take_down(self, caller: Caller, job: Job, name: EventName) -> Job:
        def work(connection: Connection) -> Job:
            if job.kind == JobKind.ERASURE and self.check_erasure and job.subject:
                self.check_erasure(connection, caller, job.subject)
            if job.kind == JobKind.EXPORT:
                _check_number(connection, job)
            made = replace(job, row_id=insert_job(connection, self._vault.cipher, job))
            after = {"job_id": made.public_id, "dry_run": job.dry_run, "state": "requested"}
            self._audit.record(
                connection, AuditEvent(name, target=target_of(job), after=after), caller
            )
            return made

        return await self._database.write(work)

    # --- looking ---------------------------------------------------------------------------

    async def job(self, caller: Caller, kind: JobKind, identifier: str) -> Job:
        """Return a job that the caller asked for, or anybody's with the permission.

        Raises:
            NotFoundError: there is none that the caller may see.
        """
        row_id = row_id_of(identifier, JOB)
        found = None
        if row_id is not None:
            wanted = row_id
            found = await self._database.read(
                lambda c: find_job(c, self._vault.cipher, wanted), tiny=True
            )
        if found is None or found.kind != kind or not self._may_see(caller.principal, found):
            raise NotFoundError("Job not found")
        return found

    async def jobs(self, caller: Caller, kind: JobKind) -> list[Job]:
        """Return the newest jobs that the caller may see."""
        who = caller.principal
        own = None if _sees_all(who, kind) else (who.public_id, self._digest_of(who))
        found = await self._database.read(
            lambda c: jobs_of(c, self._vault.cipher, kind, own, _SHOWN)
        )
        return [job for job in found if self._may_see(who, job)]

    def _may_see(self, principal: Principal, job: Job) -> bool:
        """Whether a caller could ask for this job too.

        Why safe: the public id of a key is that of its owner, so that it alone opens nothing. A
        key that may do less than its owner sees no more than what it could ask for itself.
        """
        if _sees_all(principal, job.kind):
            return True
        is_asked_by = bool(principal.public_id) and principal.public_id == job.requested_by
        is_about = job.subject_digest == self._digest_of(principal)
        return is_asked_by and is_about and not _is_part(principal)

    def _digest_of(self, principal: Principal) -> str:
        return subject_digest(self._key, ("user", principal.public_id))

    # --- running ---------------------------------------------------------------------------

    async def run_waiting(self) -> None:
        """Run what waits, one after the other; call it every second.

        Raises:
            UnavailableError: not now; what is half done is taken up by the next call.
        """
        async with self._running:
            paused = self._paused()
            waits = await self._database.read(lambda c: has_unfinished_jobs(c, paused), tiny=True)
            if not waits or not await self._database.write(self._lease.take):
                return
            try:
                await self._run_all(paused)
            except LeaseLostError:
                logger.info("privacy.taken_over")
            finally:
                await self._database.write(self._lease.give_back)

    def _paused(self) -> set[int]:
        now = self._clock.monotonic_seconds()
        return {row for row, (_, until) in self._pauses.items() if now < until}

    async def _run_all(self, tried: set[int]) -> None:
        # Looked for anew after each: an erasure that comes meanwhile goes before other exports.
        while job := await self._database.read(lambda c: next_job(c, self._vault.cipher, tried)):
            tried.add(job.row_id)
            await self._run(job)

    async def _run(self, job: Job) -> None:
        """Run one job to its end; one that cannot be done must not keep the others waiting."""
        started = job.started_at or to_microseconds(self._clock.now_utc())
        await self._database.write(
            lambda c: change_job(
                c, job.row_id, status=JobStatus.RUNNING, started_at=started, problem=""
            )
        )
        try:
            await self.runners[job.kind](replace(job, started_at=started))
            self._pauses.pop(job.row_id, None)
        except UnavailableError:
            raise
        except AppError as error:
            fields = {"job": job.public_id, "reason": error.public}
            logger.warning("privacy.job_failed", extra=fields)
            await self._fail(job, error.public)
        except Exception:
            logger.exception("privacy.job_broke", extra={"job": job.public_id})
            await self._fail(job, _BROKE)

    async def _fail(self, job: Job, problem: str) -> None:
        """End a job; one that is promised is tried again instead, after a longer pause each time.

        The next start would carry out what the ledger holds, so to call it failed would be untrue.
        """
        now = to_microseconds(self._clock.now_utc())

        def work(connection: Connection) -> bool:
            self._lease.prove(connection)
            current = find_job(connection, self._vault.cipher, job.row_id)
            if current is not None and current.is_promised:
                change_job(connection, job.row_id, problem=f"{problem}{_AGAIN}")
                return True
            end_job(connection, job.row_id, now, status=JobStatus.FAILED, problem=problem)
            return False

        if await self._database.write(work):
            before, _ = self._pauses.get(job.row_id, (_FIRST_PAUSE_SECONDS / 2, 0.0))
            pause = min(2 * before, _LONGEST_PAUSE_SECONDS)
            self._pauses[job.row_id] = (pause, self._clock.monotonic_seconds() + pause)

    async def finish(self, job: Job) -> Job:
        """Wait until a job is over.

        Raises:
            ConflictError: it failed.
            UnavailableError: the database cannot serve now, or the job met a fault and is tried
                again; it goes on later.
        """
        while True:
            await self.run_waiting()
            found = await self._database.read(
                lambda c: find_job(c, self._vault.cipher, job.row_id), tiny=True
            )
            if found is None:
                raise UnavailableError("The job is gone")
            if found.status == JobStatus.FAILED:
                raise ConflictError(found.problem)
            if found.is_over:
                return found
            if found.problem:
                raise UnavailableError(found.problem)
            await asyncio.sleep(_WAIT_SECONDS)


def caller_of_job(job: Job) -> Caller:
    """Return who asked for a job, for the record at its end."""
    actor = job.actor
    if actor is None:
        raise ValueError("the job is over")
    principal = Principal(
        PrincipalKind(actor.kind),
        actor.public_id,
        actor.name,
        credential_id=actor.credential_id,
        session_id=0 if actor.is_session else None,
    )
    return Caller(principal, actor.address, actor.user_agent, actor.request_id)


def target_of(job: Job) -> Target:
    """Return what the records of a job name: never the person itself."""
    if job.subject_kind == "user" and job.subject is not None:
        return Target("user", job.subject.user_id)
    return Target("subject", job.subject_digest)


def _check_number(connection: Connection, job: Job) -> None:
    """Refuse an export beyond what one person may have waiting and lying on the disk.

    Raises:
        ConflictError: the same is under way, or there are too many.
    """
    # Requests at the same time are counted one after the other.
    hold_security_epoch(connection)
    if has_unfinished_export(connection, job.requested_by, job.subject_digest):
        raise ConflictError("An export of this person is under way already")
    if count_exports(connection, job.requested_by, job.created_at) >= _MOST_EXPORTS:
        raise ConflictError(
            f"{_MOST_EXPORTS} exports wait or lie ready already; fetch one or let it expire"
        )


def _require(caller: Caller, permission: Permission) -> None:
    require(caller.principal, permission)
    if caller.principal.project_ids is not None:
        raise DeniedError("A key that is restricted to projects cannot do this.")


def _is_part(principal: Principal) -> bool:
    """Whether it is a key that may do less than read everything."""
    reads = {Permission.TRACES_READ, Permission.ANNOTATIONS_READ, Permission.PROJECTS_READ}
    is_part = principal.project_ids is not None or not reads <= principal.permissions
    return is_part and not principal.is_session


def _refuse_part(principal: Principal) -> None:
    """A key that may do less than read everything gets no export of all that its owner has.

    Raises:
        DeniedError: it is such a key.
    """
    if _is_part(principal):
        raise DeniedError("A restricted key cannot export the data of its owner.")


def _sees_all(principal: Principal, kind: JobKind) -> bool:
    wanted = Permission.PRIVACY_ERASE if kind == JobKind.ERASURE else Permission.PRIVACY_EXPORT
    return principal.may(wanted) and principal.project_ids is None
