"""``/v1/privacy/erasures``: decode, call the flow, encode.

Spec: line 265.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value
from bennu.httpio.respond import json_answer, time_text
from bennu.httpio.route import Route
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind
from bennu.privacy.subject import Subject


class SubjectBody(msgspec.Struct, forbid_unknown_fields=True):
    """A user of the server by id, or a person in traces by an attribute and its value."""

    user_id: str = ""
    attribute: str = ""
    value: str | int | float | bool | None = None


class ErasureBody(msgspec.Struct):
    """Whom to erase; ``dry_run`` only counts."""

    subject: SubjectBody
    dry_run: bool = False


class JobShown(msgspec.Struct):
    """A job as clients see it."""

    id: str
    status: str
    progress: float
    counts: dict[str, int]
    subject_kind: str
    requested_by: str
    created_at: str
    finished_at: str | None
    problem: str


class ErasureShown(JobShown):
    """An erasure; the receipt when it is done."""

    dry_run: bool
    receipt: dict[str, Any] | None


class ErasureAnswer(msgspec.Struct):
    """One erasure."""

    data: ErasureShown


class ErasureListAnswer(msgspec.Struct):
    """The newest erasures first."""

    data: list[ErasureShown]


def subject_of(body: SubjectBody) -> Subject:
    """Return whom a request is about."""
    return Subject(body.user_id, body.attribute, body.value)


def job_fields(job: Job) -> dict[str, Any]:
    """Return what exports and erasures show alike."""
    return {
        "id": job.public_id,
        "status": str(job.status),
        "progress": job.progress,
        "counts": dict(job.counts),
        "subject_kind": job.subject_kind,
        "requested_by": job.requested_by,
        "created_at": time_text(job.created_at),
        "finished_at": None if job.finished_at is None else time_text(job.finished_at),
        "problem": job.problem,
    }


def _shown(job: Job) -> ErasureShown:
    receipt = None if job.receipt is None else dict(job.receipt)
    return ErasureShown(**job_fields(job), dry_run=job.dry_run, receipt=receipt)


class _ErasureHandlers:
    def __init__(self, jobs: PrivacyJobs) -> None:
        self._jobs = jobs

    async def request(self, request: Request) -> Response:
        body = await json_of(request, ErasureBody)
        job = await self._jobs.request_erasure(
            caller_of(request), subject_of(body.subject), dry_run=body.dry_run
        )
        return json_answer(ErasureAnswer(_shown(job)), 202)

    async def get(self, request: Request) -> Response:
        job = await self._jobs.job(
            caller_of(request), JobKind.ERASURE, path_value(request, "job_id")
        )
        return json_answer(ErasureAnswer(_shown(job)))

    async def listing(self, request: Request) -> Response:
        found = await self._jobs.jobs(caller_of(request), JobKind.ERASURE)
        return json_answer(ErasureListAnswer([_shown(job) for job in found]))


def erasure_routes(jobs: PrivacyJobs) -> tuple[Route, ...]:
    """Return the routes of erasures."""
    handlers = _ErasureHandlers(jobs)
    return (
        Route(
            method="POST",
            path="/v1/privacy/erasures",
            handler=handlers.request,
            permission=Permission.PRIVACY_ERASE,
            summary="Erase a person: a user, or whoever an attribute of traces names",
            request=ErasureBody,
            response=ErasureAnswer,
            status=202,
            events=(EventName.PRIVACY_ERASED,),
            errors=(409,),
            tags=("privacy",),
        ),
        Route(
            method="GET",
            path="/v1/privacy/erasures",
            handler=handlers.listing,
            permission=Permission.PRIVACY_ERASE,
            summary="The newest erasures",
            response=ErasureListAnswer,
            tags=("privacy",),
        ),
        Route(
            method="GET",
            path="/v1/privacy/erasures/{job_id}",
            handler=handlers.get,
            permission=Permission.PRIVACY_ERASE,
            summary="How far an erasure is, and its receipt",
            response=ErasureAnswer,
            tags=("privacy",),
        ),
    )
