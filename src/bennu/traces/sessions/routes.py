"""``/v1/projects/{project}/sessions`` and ``/v1/sessions``.

Source: data-plane contract, section 8.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer
from bennu.httpio.route import Query, Route
from bennu.kernel.ids import global_id
from bennu.traces.expressions.meaning import condition_of
from bennu.traces.expressions.tree import Scope
from bennu.traces.projects.store import KIND as PROJECT_KIND
from bennu.traces.sessions.flow import SessionPage, SessionPageQuery, TraceSessions, WholeSession
from bennu.traces.spans.events import iso_from_ns
from bennu.traces.traces.model import SESSION_KIND, TRACE_KIND

_DEFAULT_LIMIT: Final = 100
#: A page never holds more, whatever limit is asked for; the cursor leads on.
_MOST_LIMIT: Final = 1_000


class SessionTraceShown(msgspec.Struct):
    """A trace in a session."""

    id: str
    trace_id: str
    start_time: str
    end_time: str


class SessionShown(msgspec.Struct):
    """A session as clients see it."""

    id: str
    session_id: str
    project_id: str
    start_time: str
    end_time: str
    traces: list[SessionTraceShown]
    token_count_prompt: int
    token_count_completion: int
    token_count_total: int


class SessionAnswer(msgspec.Struct):
    """One session."""

    data: SessionShown


class SessionListAnswer(msgspec.Struct):
    """One page of sessions."""

    data: list[SessionShown]
    next_cursor: str | None


class DeleteSessionsBody(msgspec.Struct):
    """Sessions by session id, or all of them by public id."""

    session_identifiers: list[str]


_LIST_QUERY: Final = (
    Query("cursor", meaning="next_cursor of the page before"),
    Query(
        "limit",
        kind="integer",
        minimum=1,
        meaning=f"sessions per page, 100 by default; a page holds at most {_MOST_LIMIT}",
    ),
    Query("order", allowed=("asc", "desc"), meaning="of arrival; asc, oldest first, by default"),
    Query("filter", meaning="a filter expression; see docs/data-plane.md"),
)


def _shown(whole: WholeSession) -> SessionShown:
    session, traces = whole.session, whole.traces
    prompt = sum(trace.prompt_tokens for trace in traces)
    completion = sum(trace.completion_tokens for trace in traces)
    return SessionShown(
        id=global_id(SESSION_KIND, session.row_id),
        session_id=session.session_id,
        project_id=global_id(PROJECT_KIND, session.project_row),
        start_time=iso_from_ns(session.start_ns),
        end_time=iso_from_ns(session.end_ns),
        traces=[
            SessionTraceShown(
                id=global_id(TRACE_KIND, trace.row_id),
                trace_id=trace.trace_id.hex(),
                start_time=iso_from_ns(trace.start_ns),
                end_time=iso_from_ns(trace.end_ns),
            )
            for trace in traces
        ],
        token_count_prompt=prompt,
        token_count_completion=completion,
        token_count_total=prompt + completion,
    )


def _page_shown(page: SessionPage) -> Response:
    shown = [_shown(whole) for whole in page.sessions]
    return json_answer(SessionListAnswer(shown, page.next_cursor))


class _SessionHandlers:
    def __init__(self, flow: TraceSessions) -> None:
        self._flow = flow

    async def list(self, request: Request) -> Response:
        values: Mapping[str, Any] = query_values(request, _LIST_QUERY)
        written = values["filter"]
        query = SessionPageQuery(
            ascending=values["order"] != "desc",
            cursor=values["cursor"],
            limit=min(values["limit"] or _DEFAULT_LIMIT, _MOST_LIMIT),
            condition=condition_of(written, Scope.SESSION) if written else None,
        )
        page = await self._flow.page_of_project(
            caller_of(request), path_value(request, "project"), query
        )
        # Many traces take long to write: in a thread, so that others are answered meanwhile.
        return await asyncio.to_thread(_page_shown, page)

    async def get(self, request: Request) -> Response:
        whole = await self._flow.one_session(caller_of(request), path_value(request, "session"))
        return await asyncio.to_thread(lambda: json_answer(SessionAnswer(_shown(whole))))

    async def delete(self, request: Request) -> Response:
        await self._flow.delete_session(caller_of(request), path_value(request, "session"))
        return empty_answer()

    async def delete_many(self, request: Request) -> Response:
        body = await json_of(request, DeleteSessionsBody)
        await self._flow.delete_sessions(caller_of(request), body.session_identifiers)
        return empty_answer()


def trace_session_routes(flow: TraceSessions) -> tuple[Route, ...]:
    """Return the routes that read and delete sessions."""
    handlers = _SessionHandlers(flow)
    return (
        Route(
            method="GET",
            path="/v1/projects/{project}/sessions",
            handler=handlers.list,
            permission=Permission.TRACES_READ,
            summary="List the sessions of a project",
            response=SessionListAnswer,
            query=_LIST_QUERY,
            tags=("sessions",),
        ),
        Route(
            method="POST",
            path="/v1/sessions/delete",
            handler=handlers.delete_many,
            permission=Permission.TRACES_WRITE,
            summary="Delete sessions with their traces; unknown ones do not matter",
            request=DeleteSessionsBody,
            status=204,
            events=(EventName.SESSION_DELETED,),
            errors=(409,),
            tags=("sessions",),
        ),
        Route(
            method="GET",
            path="/v1/sessions/{session:path}",
            handler=handlers.get,
            permission=Permission.TRACES_READ,
            summary="Read one session by id or session_id",
            response=SessionAnswer,
            errors=(409,),
            tags=("sessions",),
        ),
        Route(
            method="DELETE",
            path="/v1/sessions/{session:path}",
            handler=handlers.delete,
            permission=Permission.TRACES_WRITE,
            summary="Delete one session by id or session_id, with its traces",
            status=204,
            events=(EventName.SESSION_DELETED,),
            errors=(409,),
            tags=("sessions",),
        ),
    )
