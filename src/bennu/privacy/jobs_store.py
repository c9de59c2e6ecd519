"""Rows of jobs that export or erase what belongs to a person.

Spec: lines 265-266.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, RowMapping, and_, case, func, insert, or_, select, update

from bennu.encryption.cipher import Cipher
from bennu.kernel.ids import global_id
from bennu.privacy.subject import Subject
from bennu.storage.schema import privacy_jobs

T = TypeVar("T")

JOB: Final = "PrivacyJob"
#: Stands in the position of an erasure from just before the ledger remembers it.
PROMISED: Final = "promised"


class JobKind(StrEnum):
    """What a job does."""

    EXPORT = "export"
    ERASURE = "erasure"


class JobStatus(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


_IS_UNFINISHED: Final = privacy_jobs.c.status.in_([JobStatus.QUEUED, JobStatus.RUNNING])


class Actor(msgspec.Struct, frozen=True):
    """Who asked for a job, as the record at its end says it."""

    kind: str
    public_id: str
    name: str
    credential_id: str
    is_session: bool
    address: str
    user_agent: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Job:
    """One export or erasure.

    Args:
        row_id: its row.
        kind: what it does.
        status: how far it is.
        dry_run: it only counts.
        requested_by: public id of who asked.
        subject: None when the job is over.
        subject_kind: ``user`` or ``attribute``; stays.
        subject_digest: keyed; stays.
        actor: None when the job is over.
        entry_id: of the ledger; "" for an export.
        progress: 0 to 1.
        counts: what was found, erased or exported, by name.
        position: where to go on after a kill.
        problem: why it failed or waits to be tried again, for people.
        receipt: of a finished erasure.
        file_name: of a finished export.
        created_at: microseconds since 1970 UTC, as the times below.
        started_at: of the first run.
        finished_at: None while it runs.
        expires_at: of the file.
        fetched_at: when the file was fetched.
    """

    row_id: int
    kind: JobKind
    status: JobStatus
    dry_run: bool
    requested_by: str
    subject: Subject | None
    subject_kind: str
    subject_digest: str
    actor: Actor | None
    entry_id: str
    progress: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    position: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    receipt: Mapping[str, Any] | None = None
    file_name: str | None = None
    created_at: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    expires_at: int | None = None
    fetched_at: int | None = None

    @property
    def public_id(self) -> str:
        """The identifier that clients see."""
        return global_id(JOB, self.row_id)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self.status in {JobStatus.DONE, JobStatus.FAILED}

    @property
    def is_promised(self) -> bool:
        """Whether it is an erasure that the ledger holds, which happens whatever comes."""
        return bool(self.position.get(PROMISED))


def insert_job(connection: Connection, cipher: Cipher, job: Job) -> int:
    """Store a new job; return its row."""
    values = {
        "kind": str(job.kind),
        "status": str(job.status),
        "dry_run": job.dry_run,
        "requested_by": job.requested_by,
        "subject_kind": job.subject_kind,
        "subject_digest": job.subject_digest,
        "subject": cipher.seal(msgspec.json.encode(job.subject)),
        "actor": cipher.seal(msgspec.json.encode(job.actor)),
        "entry_id": job.entry_id,
        "created_at": job.created_at,
    }
    made = connection.execute(insert(privacy_jobs).values(**values).returning(privacy_jobs.c.id))
    return int(made.scalar_one())


def _opened(cipher: Cipher, sealed: str | None, kind: type[T]) -> T | None:
    return None if sealed is None else msgspec.json.decode(cipher.open(sealed), type=kind)


def _job(cipher: Cipher, row: RowMapping) -> Job:
    subject, actor, receipt = row["subject"], row["actor"], row["receipt"]
    return Job(
        row_id=row["id"],
        kind=JobKind(row["kind"]),
        status=JobStatus(row["status"]),
        dry_run=row["dry_run"],
        requested_by=row["requested_by"],
        subject=_opened(cipher, subject, Subject),
        subject_kind=row["subject_kind"],
        subject_digest=row["subject_digest"],
        actor=_opened(cipher, actor, Actor),
        entry_id=row["entry_id"],
        progress=row["progress"],
        counts=msgspec.json.decode(row["counts"]),
        position=msgspec.json.decode(row["position"]),
        problem=row["problem"],
        receipt=None if receipt is None else msgspec.json.decode(receipt),
        file_name=row["file_name"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        fetched_at=row["fetched_at"],
    )


def find_job(connection: Connection, cipher: Cipher, row_id: int) -> Job | None:
    """Return one job, or None."""
    row = (
        connection.execute(select(privacy_jobs).where(privacy_jobs.c.id == row_id))
        .mappings()
        .first()
    )
    return None if row is None else _job(cipher, row)


def jobs_of(
    connection: Connection, cipher: Cipher, kind: JobKind, own: tuple[str, str] | None, limit: int
) -> list[Job]:
    """Return jobs of one kind, the newest first.

    Args:
        connection: to read with.
        cipher: opens what is sealed.
        kind: of the jobs.
        own: who asked, and the digest of whom it is about; None for the jobs of all.
        limit: at most so many.
    """
    statement = select(privacy_jobs).where(privacy_jobs.c.kind == kind)
    if own is not None:
        requested_by, digest = own
        statement = statement.where(
            privacy_jobs.c.requested_by == requested_by, privacy_jobs.c.subject_digest == digest
        )
    statement = statement.order_by(privacy_jobs.c.id.desc()).limit(limit)
    return [_job(cipher, row) for row in connection.execute(statement).mappings()]


def unfinished_jobs(connection: Connection, cipher: Cipher) -> list[Job]:
    """Return the jobs that still have something to do, the oldest first."""
    statement = select(privacy_jobs).where(_IS_UNFINISHED).order_by(privacy_jobs.c.id)
    return [_job(cipher, row) for row in connection.execute(statement).mappings()]


def next_job(connection: Connection, cipher: Cipher, tried: Collection[int]) -> Job | None:
    """Return the job to do next, None when only those that were tried are left.

    Erasures come before exports: many exports must not put off what the law gives a time for.
    """
    table = privacy_jobs
    exports_last = case((table.c.kind == JobKind.ERASURE, 0), else_=1)
    statement = (
        select(table)
        .where(_IS_UNFINISHED, table.c.id.not_in(sorted(tried)))
        .order_by(exports_last, table.c.id)
        .limit(1)
    )
    row = connection.execute(statement).mappings().first()
    return None if row is None else _job(cipher, row)


def has_unfinished_jobs(connection: Connection, tried: Collection[int]) -> bool:
    """Whether there is a job with something to do, beside those that were tried."""
    is_other = privacy_jobs.c.id.not_in(sorted(tried))
    statement = select(privacy_jobs.c.id).where(_IS_UNFINISHED, is_other).limit(1)
    return connection.execute(statement).first() is not None


def has_unfinished_export(connection: Connection, requested_by: str, digest: str) -> bool:
    """Whether somebody's export of a person is not over yet."""
    table = privacy_jobs
    statement = select(table.c.id).where(
        _IS_UNFINISHED,
        table.c.kind == JobKind.EXPORT,
        table.c.requested_by == requested_by,
        table.c.subject_digest == digest,
    )
    return connection.execute(statement.limit(1)).first() is not None


def count_exports(connection: Connection, requested_by: str, now: int) -> int:
    """Count the exports that somebody asked for and that wait, run, or lie ready."""
    table = privacy_jobs
    lies_ready = and_(
        table.c.file_name.is_not(None), table.c.fetched_at.is_(None), table.c.expires_at > now
    )
    statement = select(func.count()).where(
        table.c.kind == JobKind.EXPORT,
        table.c.requested_by == requested_by,
        or_(_IS_UNFINISHED, lies_ready),
    )
    return int(connection.execute(statement).scalar_one())


def change_job(connection: Connection, row_id: int, **values: Any) -> None:  # noqa: ANN401 - columns
    """Change columns of a job; mappings are written as JSON."""
    written = {
        name: msgspec.json.encode(value).decode() if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
    connection.execute(update(privacy_jobs).where(privacy_jobs.c.id == row_id).values(**written))


def end_job(connection: Connection, row_id: int, now: int, **values: Any) -> None:  # noqa: ANN401
    """End a job, and forget whom it was about and who asked."""
    change_job(connection, row_id, subject=None, actor=None, finished_at=now, **values)


def export_files_to_drop(connection: Connection, now: int | None) -> list[tuple[int, str]]:
    """Return row and name of files that are over; all of them when no time is given."""
    table = privacy_jobs
    statement = select(table.c.id, table.c.file_name).where(table.c.file_name.is_not(None))
    if now is not None:
        is_over = or_(table.c.expires_at <= now, table.c.fetched_at.is_not(None))
        statement = statement.where(is_over)
    return [(row[0], row[1]) for row in connection.execute(statement)]


def take_file(connection: Connection, row_id: int, now: int) -> str | None:
    """Mark a file as fetched; None when somebody did before, or its time is over."""
    table = privacy_jobs
    taken = connection.execute(
        update(table)
        .where(table.c.id == row_id, table.c.fetched_at.is_(None), table.c.expires_at > now)
        .values(fetched_at=now)
    )
    if taken.rowcount != 1:
        return None
    name: str | None = connection.execute(
        select(table.c.file_name).where(table.c.id == row_id)
    ).scalar_one_or_none()
    return name
