"""One's own data: ask for an export, watch it, fetch it.

Spec: line 266. Decision 20.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bennu.access import Caller
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of
from bennu.httpio.respond import status_of
from bennu.httpio.route import Door, Route
from bennu.kernel.errors import AppError
from bennu.privacy.export import Exports
from bennu.privacy.jobs import PrivacyJobs
from bennu.privacy.jobs_store import Job, JobKind
from bennu.web.news import LookAgain, session_of_stream
from bennu.web.pages import Pages, problems_of
from bennu.web.streams import Streams

_PATH = "/account/exports"
_EVENTS = "/events/exports"
_UNDER_WAY = ("queued", "running")


@dataclass(frozen=True, slots=True)
class ExportFlows:
    """The flows behind these pages."""

    jobs: PrivacyJobs
    exports: Exports


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One row of the table. Times: microseconds since 1970 UTC; ``percent`` is 0 to 100."""

    id: str
    state: str
    percent: int
    is_own: bool
    created_at: int
    expires_at: int | None
    problem: str
    token: str


def export_row(job: Job, token: str, own: str) -> ExportRow:
    """Return what a row shows of an export.

    Args:
        job: as stored.
        token: of its file, "" when there is none to fetch.
        own: public id of who looks.
    """
    state = str(job.status)
    if state == "done" and not token:
        state = "fetched" if job.fetched_at is not None else "expired"
    return ExportRow(
        id=job.public_id,
        state=state,
        percent=100 if job.is_over else round(job.progress * 100),
        is_own=job.requested_by == own,
        created_at=job.created_at,
        expires_at=job.expires_at if token else None,
        problem=job.problem,
        token=token,
    )


def progress_text(rows: Sequence[ExportRow]) -> str:
    """Return how far exports are, as one line: ``id percent state`` of each, with commas."""
    return ",".join(f"{row.id} {row.percent} {row.state}" for row in rows)


def is_nothing_under_way(progress: str) -> bool:
    """Whether no export of a ``progress_text`` will change by itself."""
    return not any(one.endswith(_UNDER_WAY) for one in progress.split(","))


class _ExportPages:
    def __init__(self, pages: Pages, flows: ExportFlows) -> None:
        self._pages, self._flows = pages, flows

    async def listing(self, request: Request) -> Response:
        """The exports that the caller may see, and the form for one of one's own data."""
        return await self._show(request)

    async def _show(
        self, request: Request, status: int = 200, error: AppError | None = None
    ) -> Response:
        rows = await self.rows(caller_of(request))
        return self._pages.show(
            request,
            "exports.html",
            status,
            rows=rows,
            is_under_way=any(row.state in _UNDER_WAY for row in rows),
            errors={} if error is None else problems_of(error),
        )

    async def rows(self, caller: Caller) -> list[ExportRow]:
        """Return the newest exports that a caller may see."""
        found = await self._flows.jobs.jobs(caller, JobKind.EXPORT)
        own, token_of = caller.principal.public_id, self._flows.exports.token_of
        return [export_row(job, token_of(job), own) for job in found]

    async def ask(self, request: Request) -> Response:
        """Take down an export of one's own data."""
        await self._pages.form(request)
        try:
            await self._flows.jobs.request_export(caller_of(request), None)
        except AppError as error:
            return await self._show(request, status_of(error), error)
        return self._pages.go(_PATH, done="export-asked")


class _Progress:
    def __init__(
        self,
        rows: Callable[[Caller], Awaitable[list[ExportRow]]],
        streams: Streams,
        look_again: LookAgain,
    ) -> None:
        self._rows, self._streams, self._look_again = rows, streams, look_again

    async def stream(self, request: Request) -> Response:
        """Tell how far exports are, until all are done or the page or its session is gone."""
        caller = caller_of(request)

        async def look() -> str:
            principal = await self._look_again(request.scope)
            return progress_text(await self._rows(replace(caller, principal=principal)))

        session = session_of_stream(caller)
        self._streams.check_room(session)
        return StreamingResponse(
            self._streams.events(session, "progress", look, is_nothing_under_way),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )


def export_page_routes(
    pages: Pages, flows: ExportFlows, streams: Streams, look_again: LookAgain
) -> tuple[Route, ...]:
    """Return the routes of the page of one's own data, and of its stream."""
    of = _ExportPages(pages, flows)
    table = (
        Route(
            method="GET",
            path=_PATH,
            handler=of.listing,
            permission=Door.PERSON,
            summary="The page of exports of one's own data",
        ),
        Route(
            method="POST",
            path=_PATH,
            handler=of.ask,
            permission=Door.PERSON,
            summary="Ask for an export of one's own data by the form of the page",
            status=303,
            events=(EventName.PRIVACY_EXPORTED,),
        ),
    )
    stream = Route(
        method="GET",
        path=_EVENTS,
        handler=_Progress(of.rows, streams, look_again).stream,
        permission=Door.PERSON,
        summary="How far exports are, as server-sent events",
        responses_media="text/event-stream",
        hidden=True,
    )
    return (*(pages.as_page(route) for route in table), stream)
