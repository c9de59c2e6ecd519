"""``/v1/projects/{project}/traces`` and ``/v1/traces``, without the ingest.

Source: data-plane contract, section 7.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer
from bennu.httpio.route import Query, Route
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import global_id
from bennu.traces.expressions.meaning import condition_of
from bennu.traces.expressions.tree import Scope
from bennu.traces.projects.store import KIND as PROJECT_KIND
from bennu.traces.spans.events import iso_from_ns
from bennu.traces.spans.filters import SPAN_KIND
from bennu.traces.spans.model import time_ns
from bennu.traces.traces.flow import TracePage, TracePageQuery, Traces
from bennu.traces.traces.model import (
    TRACE_KIND,
    SpanOfTrace,
    StoredTrace,
    TraceFilter,
    TraceOrder,
)

_DEFAULT_LIMIT: Final = 100
_MOST_LIMIT: Final = 1_000
_MOST_SESSIONS: Final = 1_000
#: So many traces may be moved in one transaction.
_MOST_MOVED: Final = 1_000
_NS_PER_MS: Final = 1_000_000
#: Latencies beyond this are beyond every trace.
_LATEST_MS: Final = 10**12


class TraceSpanShown(msgspec.Struct):
    """A span in a list of traces."""

    id: str
    span_id: str
    parent_id: str | None
    name: str
    span_kind: str
    status_code: str
    start_time: str
    end_time: str


class TraceShown(msgspec.Struct):
    """A trace as clients see it."""

    id: str
    trace_id: str
    project_id: str
    start_time: str
    end_time: str
    token_count_prompt: int
    token_count_completion: int
    token_count_total: int
    spans: list[TraceSpanShown] | None


class TraceListAnswer(msgspec.Struct):
    """One page of traces."""

    data: list[TraceShown]
    next_cursor: str | None


class TransferTracesBody(msgspec.Struct):
    """Which traces, all of one project, and the id or name of the project they go to."""

    trace_identifiers: Annotated[list[str], msgspec.Meta(min_length=1, max_length=_MOST_MOVED)]
    destination_project_identifier: str


class TransferredShown(msgspec.Struct):
    """How many traces were moved, and to which project."""

    transferred_trace_count: int
    destination_project_id: str


class TransferAnswer(msgspec.Struct):
    """The outcome of a transfer."""

    data: TransferredShown


_LIST_QUERY: Final = (
    Query("start_time", kind="datetime", meaning="started then or later"),
    Query("end_time", kind="datetime", meaning="started before"),
    Query("sort", allowed=("start_time", "latency_ms"), meaning="start_time by default"),
    Query("order", allowed=("asc", "desc"), meaning="desc by default"),
    Query(
        "limit",
        kind="integer",
        minimum=1,
        maximum=_MOST_LIMIT,
        meaning="traces per page, 100 by default",
    ),
    Query("cursor", meaning="next_cursor of the page before"),
    Query("include_spans", kind="boolean", meaning="the spans of each trace too"),
    Query("session_identifier", many=True, meaning="session id or public id; any of them"),
    Query("error", kind="boolean", meaning="with (true) or without (false) a span in error"),
    Query("min_latency_ms", kind="number", minimum=0, meaning="took at least so long"),
    Query("max_latency_ms", kind="number", minimum=0, meaning="took at most so long"),
    Query("filter", meaning="a filter expression; see docs/data-plane.md"),
)
_TIME_QUERY: Final = (
    Query("start_time", kind="datetime", required=True, meaning="started then or later"),
    Query("end_time", kind="datetime", required=True, meaning="started before"),
)


def _time_ns(value: object) -> int | None:
    return time_ns(value) if isinstance(value, datetime) else None


def _latency_ns(value: float | None) -> int | None:
    return None if value is None else round(min(value, _LATEST_MS) * _NS_PER_MS)


def _query_of(values: Mapping[str, Any]) -> TracePageQuery:
    """Build the query of a list.

    Raises:
        InvalidError: more sessions than a query may name.
        ExpressionError: the filter cannot be understood.
    """
    sessions = values["session_identifier"]
    if len(sessions) > _MOST_SESSIONS:
        raise InvalidError(f"At most {_MOST_SESSIONS} session identifiers are allowed")
    written = values["filter"]
    wanted = TraceFilter(
        has_error=values["error"],
        from_ns=_time_ns(values["start_time"]),
        before_ns=_time_ns(values["end_time"]),
        min_latency_ns=_latency_ns(values["min_latency_ms"]),
        max_latency_ns=_latency_ns(values["max_latency_ms"]),
        condition=condition_of(written, Scope.TRACE) if written else None,
    )
    return TracePageQuery(
        wanted=wanted,
        sessions=sessions or None,
        order=TraceOrder(
            by_latency=values["sort"] == "latency_ms", ascending=values["order"] == "asc"
        ),
        cursor=values["cursor"],
        limit=values["limit"] or _DEFAULT_LIMIT,
        with_spans=bool(values["include_spans"]),
    )


def _span_shown(span: SpanOfTrace) -> TraceSpanShown:
    return TraceSpanShown(
        id=global_id(SPAN_KIND, span.row_id),
        span_id=span.span_id.hex(),
        parent_id=None if span.parent_id is None else span.parent_id.hex(),
        name=span.name,
        span_kind=span.span_kind,
        status_code=span.status_code,
        start_time=iso_from_ns(span.start_ns),
        end_time=iso_from_ns(span.end_ns),
    )


def _trace_shown(trace: StoredTrace, spans: list[SpanOfTrace] | None) -> TraceShown:
    return TraceShown(
        id=global_id(TRACE_KIND, trace.row_id),
        trace_id=trace.trace_id.hex(),
        project_id=global_id(PROJECT_KIND, trace.project_row),
        start_time=iso_from_ns(trace.start_ns),
        end_time=iso_from_ns(trace.end_ns),
        token_count_prompt=trace.prompt_tokens,
        token_count_completion=trace.completion_tokens,
        token_count_total=trace.prompt_tokens + trace.completion_tokens,
        spans=None if spans is None else [_span_shown(span) for span in spans],
    )


def _shown(page: TracePage) -> Response:
    data = [
        _trace_shown(trace, None if page.spans is None else page.spans[trace.row_id])
        for trace in page.traces
    ]
    return json_answer(TraceListAnswer(data, page.next_cursor))


class _TraceHandlers:
    def __init__(self, flow: Traces) -> None:
        self._flow = flow

    async def list(self, request: Request) -> Response:
        query = _query_of(query_values(request, _LIST_QUERY))
        page = await self._flow.page_of_project(
            caller_of(request), path_value(request, "project"), query
        )
        # Many spans take long to write: in a thread, so that others are answered meanwhile.
        return await asyncio.to_thread(_shown, page) if page.spans else _shown(page)

    async def delete_between(self, request: Request) -> Response:
        values: Mapping[str, Any] = query_values(request, _TIME_QUERY)
        await self._flow.delete_between(
            caller_of(request),
            path_value(request, "project"),
            to_microseconds(values["start_time"]) * 1_000,
            to_microseconds(values["end_time"]) * 1_000,
        )
        return empty_answer()

    async def delete(self, request: Request) -> Response:
        await self._flow.delete_trace(caller_of(request), path_value(request, "trace"))
        return empty_answer()

    async def transfer(self, request: Request) -> Response:
        body = await json_of(request, TransferTracesBody)
        count, project = await self._flow.transfer(
            caller_of(request), body.trace_identifiers, body.destination_project_identifier
        )
        return json_answer(TransferAnswer(TransferredShown(count, project.public_id)))


def trace_routes(flow: Traces) -> tuple[Route, ...]:
    """Return the routes that list, delete and move traces."""
    handlers = _TraceHandlers(flow)
    return (
        Route(
            method="GET",
            path="/v1/projects/{project}/traces",
            handler=handlers.list,
            permission=Permission.TRACES_READ,
            summary="List the traces of a project",
            response=TraceListAnswer,
            query=_LIST_QUERY,
            tags=("traces",),
        ),
        Route(
            method="DELETE",
            path="/v1/projects/{project}/traces",
            handler=handlers.delete_between,
            permission=Permission.TRACES_WRITE,
            summary="Delete the traces of a project that started within a time",
            status=204,
            query=_TIME_QUERY,
            events=(EventName.TRACE_DELETED,),
            tags=("traces",),
        ),
        Route(
            method="POST",
            path="/v1/traces/transfer",
            handler=handlers.transfer,
            permission=Permission.TRACES_WRITE,
            summary="Move traces of one project into another, with all that belongs to them",
            request=TransferTracesBody,
            response=TransferAnswer,
            events=(EventName.TRACE_TRANSFERRED,),
            errors=(404, 409),
            tags=("traces",),
        ),
        Route(
            method="DELETE",
            path="/v1/traces/{trace}",
            handler=handlers.delete,
            permission=Permission.TRACES_WRITE,
            summary="Delete one trace by id or trace_id, with its spans",
            status=204,
            events=(EventName.TRACE_DELETED,),
            errors=(409,),
            tags=("traces",),
        ),
    )
