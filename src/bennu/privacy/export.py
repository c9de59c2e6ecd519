"""Exports what belongs to a person as a file, and a project as a stream; memory stays bounded.

Spec: line 266. Source: GDPR, Art. 15 and 20.
"""

import asyncio
import hashlib
import hmac
from array import array
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import NotFoundError
from bennu.kernel.ids import equal_in_constant_time
from bennu.privacy.erased_store import (
    WINDOW_ROWS,
    newest_span_row,
    traces_in_sessions,
    traces_naming,
)
from bennu.privacy.export_archive import ExportArchive
from bennu.privacy.export_files import ExportFiles
from bennu.privacy.export_query import (
    Page,
    RowsOfPerson,
    Section,
    rows_in_traces,
    sections_of_person,
    sections_of_project,
    sections_of_user,
)
from bennu.privacy.jobs import PrivacyJobs, caller_of_job, target_of
from bennu.privacy.jobs_store import Job, JobKind, JobStatus, change_job, end_job, take_file
from bennu.privacy.lease import Lease
from bennu.privacy.subject import Subject
from bennu.storage.database import Database
from bennu.traces.projects.flow import visible_project

LINK_SECONDS: Final = 86_400
_PART: Final = 500


class Exports:
    """Writes exports that were asked for, and hands them out once."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        jobs: PrivacyJobs,
        lease: Lease,
        files: ExportFiles,
    ) -> None:
        self._database, self._audit = database, audit
        self._jobs, self._lease, self._files = jobs, lease, files
        self._clock = database.clock

    # --- the file --------------------------------------------------------------------------

    async def run(self, job: Job) -> None:
        """Write one export; a run that was killed begins anew.

        Raises:
            LeaseLostError: another process does it now.
        """
        if job.subject is None:
            return
        # Only who has the lease may look for what killed processes left, and begin.
        await self._database.write(self._lease.prove)
        name = f"{job.entry_id}.zip"
        path = await asyncio.to_thread(self._files.begin, name, self._lease.holder)
        archive = await asyncio.to_thread(ExportArchive, path)
        try:
            sections = await self._sections(job.subject)
            for number, section in enumerate(sections):
                await self._write(archive, section)
                await self._note(job, archive, number / len(sections))
            await asyncio.to_thread(archive.finish, self._about(job))
            counts = archive.counts
            await self._database.write(
                partial(self._end, job=job, path=path, name=name, counts=counts)
            )
        except BaseException:
            archive.give_up()
            path.unlink(missing_ok=True)
            raise

    async def _write(self, archive: ExportArchive, section: Section) -> None:
        archive.begin(section.name)
        place: int | None = 0
        while place is not None:
            page = await self._database.read(partial(_fetch, section=section, place=place))
            if page.records:
                await asyncio.to_thread(archive.add, page.records)
            await self._database.write(self._lease.prove)
            place = page.following

    async def _note(self, job: Job, archive: ExportArchive, progress: float) -> None:
        counts = dict(archive.counts)
        await self._database.write(
            lambda c: change_job(c, job.row_id, counts=counts, progress=progress)
        )

    async def _sections(self, subject: Subject) -> list[Section]:
        if subject.user_id:
            return sections_of_user(subject)
        return sections_of_person(await self._rows_of(subject))

    async def _rows_of(self, subject: Subject) -> RowsOfPerson:
        """Find the traces that name a person; as numbers, 8 bytes each."""
        newest, place = await self._database.read(newest_span_row), 0
        named: set[int] = set(await self._database.read(lambda c: traces_in_sessions(c, subject)))
        while place < newest:
            until = min(place + WINDOW_ROWS, newest)
            named.update(
                await self._database.read(
                    partial(traces_naming, subject=subject, after_row=place, until_row=until)
                )
            )
            await self._database.write(self._lease.prove)
            place = until
        in_order = array("q", sorted(named))
        spans, sessions = array("q"), set[int]()
        for begin in range(0, len(in_order), _PART):
            some = list(in_order[begin : begin + _PART])
            found = await self._database.read(partial(rows_in_traces, trace_rows=some))
            await self._database.write(self._lease.prove)
            spans.extend(found[0])
            sessions.update(found[1])
        return RowsOfPerson(in_order, spans, sorted(sessions))

    def _about(self, job: Job) -> dict[str, Any]:
        subject = job.subject
        asked = {} if subject is None else msgspec.to_builtins(subject)
        return {
            "export_id": job.public_id,
            "subject": asked,
            "exported_at_utc": self._clock.now_utc().isoformat(),
            "note": "sessions and API keys as they were at that time; keys without their secret",
        }

    def _end(
        self, connection: Connection, job: Job, path: Path, name: str, counts: Mapping[str, int]
    ) -> None:
        """Give the file its name while nobody else can have the lease, and end the job."""
        self._lease.prove(connection)
        now = to_microseconds(self._clock.now_utc())
        end_job(
            connection,
            job.row_id,
            now,
            status=JobStatus.DONE,
            progress=1.0,
            counts=dict(counts),
            file_name=name,
            expires_at=now + LINK_SECONDS * 1_000_000,
        )
        after = {"job_id": job.public_id, "state": "done", "counts": dict(counts)}
        event = AuditEvent(EventName.PRIVACY_EXPORTED, target=target_of(job), after=after)
        self._audit.record(connection, event, caller_of_job(job))
        # Last, so that a refusal before it leaves nothing: until the commit nobody knows the name.
        path.replace(self._files.path(name))

    # --- the link --------------------------------------------------------------------------

    def token_of(self, job: Job) -> str:
        """Return what a link to the file holds, "" when there is none to fetch.

        Why safe: made with a sealed key; only who may see the job is told.
        """
        if job.file_name is None or job.fetched_at is not None or self._is_expired(job):
            return ""
        text = f"export-link\0{job.public_id}\0{job.file_name}".encode()
        return hmac.new(self._jobs.key, text, hashlib.sha256).hexdigest()

    def _is_expired(self, job: Job) -> bool:
        return (job.expires_at or 0) <= to_microseconds(self._clock.now_utc())

    async def find(self, caller: Caller, identifier: str, token: str) -> Job:
        """Return the job whose file a link would hand out.

        Raises:
            NotFoundError: there is none for this caller, or it was fetched, or its time is over.
        """
        job = await self._jobs.job(caller, JobKind.EXPORT, identifier)
        wanted = self.token_of(job)
        if not wanted or not equal_in_constant_time(token.encode(), wanted.encode()):
            raise NotFoundError("This link does not work, or not any more")
        return job

    async def fetch(self, caller: Caller, identifier: str, token: str) -> Path:
        """Hand out a file for the first and last time; whoever asked for it deletes it.

        Raises:
            NotFoundError: there is none for this caller, or it was fetched, or its time is over.
        """
        job = await self.find(caller, identifier, token)
        name = await self._database.write(lambda c: self._take(c, caller, job))
        return self._files.path(name)

    def _take(self, connection: Connection, caller: Caller, job: Job) -> str:
        name = take_file(connection, job.row_id, to_microseconds(self._clock.now_utc()))
        if name is None:
            raise NotFoundError("This link does not work, or not any more")
        after = {"job_id": job.public_id, "state": "fetched"}
        event = AuditEvent(EventName.PRIVACY_EXPORTED, target=target_of(job), after=after)
        self._audit.record(connection, event, caller)
        return name

    # --- a project -------------------------------------------------------------------------

    async def project_lines(self, caller: Caller, project: str) -> AsyncIterator[bytes]:
        """Begin the export of a project; that it was exported is recorded first.

        Returns:
            Lines of NDJSON, in pieces; each has ``type`` and ``data``.

        Raises:
            NotFoundError: there is no such project that the caller may see.
        """
        require(caller.principal, Permission.TRACES_READ)
        found = await self._database.read(
            lambda c: visible_project(c, caller, project, Permission.TRACES_READ)
        )
        target = Target("project", found.public_id, found.name)
        await self._audit.note(AuditEvent(EventName.PRIVACY_EXPORTED, target=target), caller)
        with_annotations = caller.principal.may(Permission.ANNOTATIONS_READ)
        sections = sections_of_project(found.row_id, with_annotations=with_annotations)
        return self._lines(sections)

    async def _lines(self, sections: list[Section]) -> AsyncIterator[bytes]:
        for section in sections:
            place: int | None = 0
            while place is not None:
                page = await self._database.read(partial(_fetch, section=section, place=place))
                kind = section.name.removesuffix("s")
                yield await asyncio.to_thread(_lines_of, kind, page.records)
                place = page.following


def _lines_of(kind: str, records: list[Any]) -> bytes:
    return b"".join(msgspec.json.encode({"type": kind, "data": one}) + b"\n" for one in records)


def _fetch(connection: Connection, section: Section, place: int) -> Page:
    return section.fetch(connection, place)
