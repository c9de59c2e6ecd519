"""Erases a person: an account of the server, or whoever an attribute of traces names.

Of an account go the account, its sessions, keys and credentials, the annotations that the person
wrote, and names and addresses in the audit trail, whose chain stays whole. The spans that its
credentials sent stay, under an id that names nobody any more: they are the data of a project. Of
a person in traces go the whole traces that name them, since prompts and answers of a request
stand in spans without the attribute too, with all that was said of them.

Spec: line 265. Source: GDPR, Art. 17.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bennu.audit.events import AuditEvent, EventName
from bennu.audit.log import AuditLog
from bennu.audit.store import SIGNING_PURPOSE
from bennu.encryption.vault import Vault
from bennu.kernel.clock import from_microseconds, to_microseconds
from bennu.privacy.erased_store import (
    WINDOW_ROWS,
    TraceSize,
    count_account,
    count_annotations,
    delete_account,
    delete_annotations_by,
    delete_waiting_for_session,
    erase_traces,
    newest_span_row,
    note_applied,
    sizes_of,
    traces_in_sessions,
    traces_naming,
)
from bennu.privacy.export_files import ExportFiles
from bennu.privacy.jobs import caller_of_job, target_of
from bennu.privacy.jobs_store import PROMISED, Job, JobStatus, end_job
from bennu.privacy.lease import Lease
from bennu.privacy.ledger import ErasureLedger, LedgerEntry, authenticated, subject_digest
from bennu.privacy.receipt import sign_receipt
from bennu.privacy.steps import JobSteps
from bennu.privacy.subject import Subject, subject_names
from bennu.storage.database import Database
from bennu.storage.epoch import move_security_epoch
from bennu.storage.space import give_back_pages
from bennu.users.flow import refuse_without_admin

_STEP_SPANS: Final = 500
_STEP_TRACES: Final = 200
_STEP_ANNOTATIONS: Final = 500
_PAGES_AT_ONCE: Final = 64
_ALMOST: Final = 0.99


class Erasures:
    """Runs erasures that were asked for."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        audit: AuditLog,
        ledger: ErasureLedger,
        lease: Lease,
        files: ExportFiles,
    ) -> None:
        self._database, self._vault, self._audit = database, vault, audit
        self._ledger, self._lease, self._clock = ledger, lease, database.clock
        self._files = files

    async def run(self, job: Job, key: bytes) -> None:
        """Carry out one erasure, from wherever an earlier run of it was ended.

        Raises:
            LedgerError: it cannot be remembered outside the database; nothing is erased.
            ConflictError: it is the last admin.
            LeaseLostError: another process does it now.
        """
        if job.subject is None:
            return
        steps = JobSteps(self._database, self._lease, job)
        if job.dry_run:
            counts = await self._count(job.subject)
            await steps.do(lambda _: counts, progress=1.0)
            await self._database.write(lambda c: self._end_count(c, job))
            return
        # Before it is remembered: what the ledger names, a restored backup loses.
        row = job.subject.user_row
        await self._database.read(lambda c: refuse_without_admin(c, row))
        # Before the ledger has it: from then on it must not end as failed.
        await steps.do(lambda _: {}, progress=0.0, position={PROMISED: True})
        await asyncio.to_thread(self._ledger.remember, entry_of(job, key))
        if job.subject.user_id:
            await self._erase_user(steps, job.subject)
        else:
            await self._erase_person(steps, job.subject)
        await self.leave_nothing()
        await self._database.write(partial(self._end, job=job, steps=steps))

    async def leave_nothing(self) -> None:
        """Drop earlier exports, and what the database keeps of deleted rows on the disk."""
        await self._files.drop_all()
        while await self._database.write(lambda c: give_back_pages(c, _PAGES_AT_ONCE)):
            pass
        await self._database.scrub()

    # --- a user of the server --------------------------------------------------------------

    async def _erase_user(self, steps: JobSteps, subject: Subject) -> None:
        row, sender = subject.user_row, subject.user_id
        await self._annotations_by(steps, row, sender)
        if not steps.position.get("account"):
            await steps.do(
                lambda c: erase_account(c, row, sender), progress=0.9, position={"account": True}
            )
        # What was written between the two steps.
        await self._annotations_by(steps, row, sender)

    async def _annotations_by(self, steps: JobSteps, row: int, sender: str) -> None:
        def work(connection: Connection) -> Mapping[str, int]:
            gone = delete_annotations_by(connection, row, sender, _STEP_ANNOTATIONS)
            return {"annotations": gone}

        while (await steps.do(work, progress=0.5))["annotations"]:
            pass

    # --- a person in traces ----------------------------------------------------------------

    async def _erase_person(self, steps: JobSteps, subject: Subject) -> None:
        newest = await self._database.read(newest_span_row)
        place = int(steps.position.get("span_row", 0))
        # Until nothing came in while the last rows were looked through.
        while place < newest:
            until = min(place + WINDOW_ROWS, newest)
            rows = await self._database.read(
                partial(traces_naming, subject=subject, after_row=place, until_row=until)
            )
            await self._erase_rows(steps, rows, _ALMOST * place / newest)
            progress = _ALMOST * until / newest
            await steps.do(lambda _: {}, progress=progress, position={"span_row": until})
            place = until
            if place >= newest:
                newest = await self._database.read(newest_span_row)
        rows = await self._database.read(lambda c: traces_in_sessions(c, subject))
        await self._erase_rows(steps, rows, _ALMOST)

        def waiting(connection: Connection) -> Mapping[str, int]:
            return {"annotations": delete_waiting_for_session(connection, subject)}

        await steps.do(waiting, progress=_ALMOST)

    async def _erase_rows(self, steps: JobSteps, rows: Sequence[int], progress: float) -> None:
        free, held = await self._database.read(lambda c: sizes_of(c, rows))
        known = set(steps.position.get("held", ()))
        if not set(held) <= known:
            where = {"held": sorted(known | set(held))}
            await steps.do(lambda _: {}, progress=progress, position=where)
        for part in parts_of(free):
            await steps.do(partial(erase_traces, trace_rows=part), progress=progress)

    # --- counting --------------------------------------------------------------------------

    async def _count(self, subject: Subject) -> Mapping[str, int]:
        if subject.user_id:
            row, sender = subject.user_row, subject.user_id
            return await self._database.read(lambda c: count_account(c, row, sender))
        newest, place = await self._database.read(newest_span_row), 0
        found: set[int] = set(await self._database.read(lambda c: traces_in_sessions(c, subject)))
        while place < newest:
            until = min(place + WINDOW_ROWS, newest)
            found.update(
                await self._database.read(
                    partial(traces_naming, subject=subject, after_row=place, until_row=until)
                )
            )
            place = until
        free, held = await self._database.read(lambda c: sizes_of(c, sorted(found)))
        counts: Counter[str] = Counter(held_traces=len(held))
        for part in parts_of(free):
            counts["annotations"] += await self._database.read(
                partial(count_annotations, trace_rows=part)
            )
        counts.update(traces=len(free), spans=sum(size.span_count for size in free))
        return counts

    # --- the end ---------------------------------------------------------------------------

    def _end_count(self, connection: Connection, job: Job) -> None:
        self._lease.prove(connection)
        end_job(
            connection,
            job.row_id,
            to_microseconds(self._clock.now_utc()),
            status=JobStatus.DONE,
            progress=1.0,
        )

    def _end(self, connection: Connection, job: Job, steps: JobSteps) -> None:
        """Write receipt and record, and forget the person, in one transaction."""
        self._lease.prove(connection)
        now = to_microseconds(self._clock.now_utc())
        counts = {name: number for name, number in sorted(steps.counts.items()) if number}
        kept = {"held_traces": len(steps.position.get("held", ()))}
        seed = self._vault.purpose_key(connection, SIGNING_PURPOSE)
        receipt = sign_receipt(seed, receipt_fields(job, now, counts, kept))
        note_applied(connection, job.entry_id, now)
        end_job(
            connection,
            job.row_id,
            now,
            status=JobStatus.DONE,
            progress=1.0,
            counts=counts,
            position={},
            receipt=receipt,
        )
        name = EventName.USER_ERASED if job.subject_kind == "user" else EventName.PRIVACY_ERASED
        after = {"job_id": job.public_id, "state": "done", "counts": counts, "kept": kept}
        event = AuditEvent(name, target=target_of(job), after=after)
        self._audit.record(connection, event, caller_of_job(job))


def erase_account(connection: Connection, row: int, public_id: str) -> Mapping[str, int]:
    """Delete an account and what names it, unless nobody could administer the server any more.

    Raises:
        ConflictError: it is the last admin.
    """
    move_security_epoch(connection)
    refuse_without_admin(connection, row)
    return delete_account(connection, row, public_id)


def parts_of(sizes: Sequence[TraceSize]) -> list[list[int]]:
    """Cut traces into parts of which each is deleted in a short transaction."""
    parts: list[list[int]] = []
    spans = _STEP_SPANS
    for row, span_count in sizes:
        if spans + span_count > _STEP_SPANS or len(parts[-1]) >= _STEP_TRACES:
            parts.append([])
            spans = 0
        parts[-1].append(row)
        spans += span_count
    return parts


def entry_of(job: Job, key: bytes) -> LedgerEntry:
    """Return what the ledger keeps of a job.

    Raises:
        ValueError: the job is over.
    """
    if job.subject is None:
        raise ValueError("the job is over")
    digests = tuple(subject_digest(key, name) for name in subject_names(job.subject))
    attribute = job.subject.attribute
    entry = LedgerEntry(job.entry_id, job.subject_kind, attribute, digests, job.created_at)
    return authenticated(key, entry)


def receipt_fields(
    job: Job, now: int, counts: Mapping[str, int], kept: Mapping[str, int]
) -> dict[str, Any]:
    """Return what a receipt says; the person only as a keyed hash, or the id of the account."""
    subject = {"kind": job.subject_kind, "digest": job.subject_digest}
    if job.subject is not None and job.subject.user_id:
        subject["user_id"] = job.subject.user_id
    if job.subject is not None and job.subject.attribute:
        subject["attribute"] = job.subject.attribute
    return {
        "id": job.public_id,
        "entry_id": job.entry_id,
        "subject": subject,
        "requested_by": job.requested_by,
        "requested_at_utc": from_microseconds(job.created_at).isoformat(),
        "finished_at_utc": from_microseconds(now).isoformat(),
        "erased": dict(counts),
        "kept": dict(kept),
    }
