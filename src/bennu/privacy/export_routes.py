"""``/v1/privacy/exports`` and ``/v1/projects/{project}/export``: decode, call the flow, encode.

Spec: line 266.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import zstandard
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Door, Query, Route
from bennu.kernel.errors import MalformedError
from bennu.privacy.erasure_routes import JobShown, SubjectBody, job_fields, subject_of
from bennu.privacy.export import Exports
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind

_NDJSON: Final = "application/x-ndjson"
_DOWNLOAD_QUERY: Final = (Query("token", required=True, meaning="of the link; works once"),)
_PROJECT_QUERY: Final = (Query("compression", allowed=("none", "zstd"), meaning="none by default"),)


class ExportBody(msgspec.Struct):
    """Whose data; without a subject the caller's own."""

    subject: SubjectBody | None = None


class ExportShown(JobShown):
    """An export; the link when it is done, until it was used or its time is over."""

    download_url: str | None
    expires_at: str | None


class ExportAnswer(msgspec.Struct):
    """One export."""

    data: ExportShown


class ExportListAnswer(msgspec.Struct):
    """The newest exports first."""

    data: list[ExportShown]


class _ExportHandlers:
    def __init__(self, jobs: PrivacyJobs, exports: Exports) -> None:
        self._jobs, self._exports = jobs, exports

    def _shown(self, job: Job) -> ExportShown:
        token = self._exports.token_of(job)
        link = f"/v1/privacy/exports/{job.public_id}/download?token={token}" if token else None
        expires = None if job.expires_at is None else time_text(job.expires_at)
        return ExportShown(**job_fields(job), download_url=link, expires_at=expires)

    async def request(self, request: Request) -> Response:
        body = await json_of(request, ExportBody, if_empty=ExportBody())
        subject = None if body.subject is None else subject_of(body.subject)
        job = await self._jobs.request_export(caller_of(request), subject)
        return json_answer(ExportAnswer(self._shown(job)), 202)

    async def get(self, request: Request) -> Response:
        job = await self._jobs.job(
            caller_of(request), JobKind.EXPORT, path_value(request, "job_id")
        )
        return json_answer(ExportAnswer(self._shown(job)))

    async def listing(self, request: Request) -> Response:
        found = await self._jobs.jobs(caller_of(request), JobKind.EXPORT)
        return json_answer(ExportListAnswer([self._shown(job) for job in found]))

    async def download(self, request: Request) -> Response:
        token = str(query_values(request, _DOWNLOAD_QUERY)["token"])
        caller, identifier = caller_of(request), path_value(request, "job_id")
        if request.method == "HEAD":
            # Looking whether a link works must not use it up.
            await self._exports.find(caller, identifier, token)
            return empty_answer(200)
        path = await self._exports.fetch(caller, identifier, token)
        if not path.exists():
            raise MalformedError("The file lies on another machine; ask the server that made it")
        return FileResponse(
            path,
            media_type="application/zip",
            filename="bennu-export.zip",
            headers={"cache-control": "no-store"},
            background=BackgroundTask(path.unlink, missing_ok=True),
        )

    async def project(self, request: Request) -> Response:
        compression = query_values(request, _PROJECT_QUERY)["compression"]
        lines = await self._exports.project_lines(
            caller_of(request), path_value(request, "project")
        )
        if compression == "zstd":
            return StreamingResponse(_compressed(lines), media_type="application/zstd")
        return StreamingResponse(lines, media_type=_NDJSON)


async def _compressed(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    async for piece in lines:
        yield await asyncio.to_thread(compressor.compress, piece)
    yield await asyncio.to_thread(compressor.flush)


def export_routes(jobs: PrivacyJobs, exports: Exports) -> tuple[Route, ...]:
    """Return the routes of exports."""
    handlers = _ExportHandlers(jobs, exports)
    return (
        Route(
            method="POST",
            path="/v1/privacy/exports",
            handler=handlers.request,
            permission=Door.SIGNED_IN,
            summary="Export one's own data, or with privacy:export that of anybody",
            request=ExportBody,
            response=ExportAnswer,
            status=202,
            events=(EventName.PRIVACY_EXPORTED,),
            errors=(409,),
            tags=("privacy",),
        ),
        Route(
            method="GET",
            path="/v1/privacy/exports",
            handler=handlers.listing,
            permission=Door.SIGNED_IN,
            summary="The newest exports that the caller may see",
            response=ExportListAnswer,
            tags=("privacy",),
        ),
        Route(
            method="GET",
            path="/v1/privacy/exports/{job_id}",
            handler=handlers.get,
            permission=Door.SIGNED_IN,
            summary="How far an export is, and the link to its file",
            response=ExportAnswer,
            tags=("privacy",),
        ),
        Route(
            method="GET",
            path="/v1/privacy/exports/{job_id}/download",
            handler=handlers.download,
            permission=Door.SIGNED_IN,
            summary="The file of an export: a ZIP; works once",
            query=_DOWNLOAD_QUERY,
            responses_media="application/zip",
            tags=("privacy",),
        ),
        Route(
            method="GET",
            path="/v1/projects/{project}/export",
            handler=handlers.project,
            permission=Permission.TRACES_READ,
            summary="Stream a project as NDJSON: its spans and annotations",
            query=_PROJECT_QUERY,
            responses_media=_NDJSON,
            tags=("projects",),
        ),
    )
