"""Projects, and one project's traces, spans and sessions as tables.

Spec: line 148. Decision 20.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.httpio.dispatch import origin_of
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.route import Route
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import InvalidError
from bennu.traces.annotations.flow import Annotations
from bennu.traces.browsing.flow import Browsing
from bennu.traces.browsing.model import ACTIVITY_DAYS
from bennu.traces.expressions.tree import Scope
from bennu.traces.projects.flow import Projects
from bennu.traces.projects.store import Project
from bennu.traces.sessions.flow import SessionPageQuery, TraceSessions
from bennu.traces.spans.flow import SpanPageQuery, Spans
from bennu.traces.spans.span_json import StoredSpan
from bennu.traces.traces.flow import TracePageQuery, Traces
from bennu.web.pages import Pages
from bennu.web.pictures import HEIGHT, WIDTH, bars_of
from bennu.web.span_rows import SpanRow, span_row
from bennu.web.trace_filters import KINDS, ORDERS, STATUSES, TIME_RANGES, TableFilter, read_filter

_PROJECTS_A_PAGE: Final = 50
_ROWS_A_PAGE: Final = 50
_TRACES: Final = ("tab", "traces")
_MICROSECOND_NS: Final = 1_000
_TABS: Final = {"traces": Scope.TRACE, "spans": Scope.SPAN, "sessions": Scope.SESSION}


@dataclass(frozen=True, slots=True)
class TraceFlows:
    """The flows behind the pages about traces; ``author_name`` of a user's row, "" for nobody."""

    projects: Projects
    spans: Spans
    traces: Traces
    sessions: TraceSessions
    browsing: Browsing
    annotations: Annotations
    author_name: Callable[[int], Awaitable[str]]
    clock: Clock


class _ProjectPages:
    def __init__(self, pages: Pages, flows: TraceFlows) -> None:
        self._pages, self._flows = pages, flows

    async def projects(self, request: Request) -> Response:
        """All projects that the caller may see, with what happened in them lately."""
        name = request.query_params.get("name_contains", "").strip()
        page = await self._flows.projects.page_of_projects(
            caller_of(request), _PROJECTS_A_PAGE, request.query_params.get("cursor"), name
        )
        activities = await self._flows.browsing.activity_of(page.projects)
        return self._pages.show(
            request,
            "projects.html",
            activities=activities,
            bars={a.project.row_id: bars_of(a.traces) for a in activities},
            token_bars={a.project.row_id: bars_of(a.tokens) for a in activities},
            picture=(WIDTH, HEIGHT),
            days=ACTIVITY_DAYS,
            name=name,
            next_cursor=page.next_cursor,
            origin=origin_of(request),
        )

    async def project(self, request: Request) -> Response:
        """One project: a table of its traces, spans or sessions."""
        found = await self._flows.projects.one_project(
            caller_of(request), path_value(request, "project")
        )
        tab = request.query_params.get("tab", "traces")
        if tab not in _TABS:
            raise InvalidError(f"There is no table of that name; there are {', '.join(_TABS)}")
        wanted = read_filter(request.query_params, _TABS[tab])
        tables: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "traces": self._traces,
            "spans": self._spans,
            "sessions": self._sessions,
        }
        values: dict[str, Any] = {"rows": [], "next_cursor": None, "session": ""}
        # Taken before the rows, so that nothing that comes meanwhile is missed.
        newest = await self._flows.browsing.newest_row() if _tells_news(request) else None
        # A filter that was not understood shows nothing: everything would look like its result.
        if wanted.mistake_at is None:
            values = await tables[tab](request, found, wanted)
        return self._pages.show(
            request,
            "project.html",
            project=found,
            tab=tab,
            wanted=wanted,
            ranges=TIME_RANGES,
            orders=ORDERS,
            kinds=KINDS,
            statuses=STATUSES,
            errors=wanted.problems,
            origin=origin_of(request),
            newest_row=newest,
            **values,
        )

    async def _traces(
        self, request: Request, project: Project, wanted: TableFilter
    ) -> dict[str, Any]:
        session = request.query_params.get("session", "")
        query = TracePageQuery(
            wanted=wanted.trace_filter(self._now_ns()),
            sessions=(session,) if session else None,
            order=wanted.trace_order(),
            cursor=request.query_params.get("cursor"),
            limit=_ROWS_A_PAGE,
            with_spans=False,
        )
        page = await self._flows.traces.page_of_project(
            caller_of(request), project.public_id, query
        )
        rows = await self._flows.browsing.rows_of_traces(page.traces)
        return {"rows": rows, "next_cursor": page.next_cursor, "session": session}

    async def _spans(
        self, request: Request, project: Project, wanted: TableFilter
    ) -> dict[str, Any]:
        query = SpanPageQuery(
            wanted.span_filter(self._now_ns()),
            wanted.span_order(),
            request.query_params.get("cursor"),
            _ROWS_A_PAGE,
        )
        page = await self._flows.spans.page_of_project(caller_of(request), project.public_id, query)
        rows = await rows_of_spans(page.spans)
        return {"rows": rows, "next_cursor": page.next_cursor, "session": ""}

    async def _sessions(
        self, request: Request, project: Project, wanted: TableFilter
    ) -> dict[str, Any]:
        query = SessionPageQuery(
            cursor=request.query_params.get("cursor"),
            limit=_ROWS_A_PAGE,
            ascending=wanted.order == "oldest",
            condition=wanted.condition,
        )
        page = await self._flows.sessions.page_of_project(
            caller_of(request), project.public_id, query
        )
        return {"rows": page.sessions, "next_cursor": page.next_cursor, "session": ""}

    def _now_ns(self) -> int:
        return to_microseconds(self._flows.clock.now_utc()) * _MICROSECOND_NS


def _tells_news(request: Request) -> bool:
    """Whether new traces would stand on top: the first page of all of them, the newest first."""
    return not any(text for name, text in request.query_params.items() if (name, text) != _TRACES)


async def rows_of_spans(spans: Sequence[StoredSpan]) -> list[SpanRow]:
    """Return the rows of a table, read in a thread: each span may hold megabytes of attributes."""
    return await asyncio.to_thread(lambda: [span_row(span) for span in spans])


def project_page_routes(pages: Pages, flows: TraceFlows) -> tuple[Route, ...]:
    """Return the routes of projects and their tables."""
    of = _ProjectPages(pages, flows)
    table = (
        Route(
            method="GET",
            path="/projects",
            handler=of.projects,
            permission=Permission.PROJECTS_READ,
            summary="The page of all projects",
        ),
        Route(
            method="GET",
            path="/projects/{project}",
            handler=of.project,
            permission=Permission.TRACES_READ,
            summary="The page of one project",
        ),
    )
    return tuple(pages.as_page(route) for route in table)
