"""``/v1/projects/{project}/spans`` and ``/v1/spans/{span}``.

Source: data-plane contract, section 6.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import (
    BODY_SECONDS,
    body_in_time,
    caller_of,
    json_of,
    path_value,
    query_values,
)
from bennu.httpio.respond import empty_answer, json_answer
from bennu.httpio.route import Query, Route
from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import global_id
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.filters import (
    MOST_ATTRIBUTE_FILTERS,
    SPAN_KIND,
    SpanFilter,
    SpanOrder,
    attribute_match,
)
from bennu.traces.spans.flow import Room, SpanPage, SpanPageQuery, Spans
from bennu.traces.spans.model import SPAN_KINDS, STATUS_CODES, time_ns
from bennu.traces.spans.otlp_view import OtlpSpanListAnswer, span_to_otlp
from bennu.traces.spans.span_json import span_to_json

Reserve = Callable[[], AbstractContextManager[Room]]

_DEFAULT_LIMIT: Final = 100
_MOST_LIMIT: Final = 1_000
_ROOTS: Final = "null"
#: More are written in a thread, so that others are answered meanwhile.
_SHOWN_AT_ONCE: Final = 100


class SpanContextShown(msgspec.Struct):
    """The ids that the sender gave."""

    trace_id: str
    span_id: str


class SpanEventShown(msgspec.Struct):
    """Something that happened during a span."""

    name: str
    timestamp: str
    attributes: dict[str, Any]


class SpanShown(msgspec.Struct):
    """A span as clients see it."""

    id: str
    name: str
    context: SpanContextShown
    span_kind: str
    parent_id: str | None
    start_time: str
    end_time: str
    status_code: str
    status_message: str
    attributes: dict[str, Any]
    events: list[SpanEventShown]


class SpanListAnswer(msgspec.Struct):
    """One page of spans."""

    data: list[SpanShown]
    next_cursor: str | None


class PostSpansBody(msgspec.Struct):
    """Spans to store; each is checked on its own, so that every problem names its span."""

    data: list[Any]


class PostSpansAnswer(msgspec.Struct):
    """How many spans came and how many were stored; both are the same."""

    total_received: int
    total_queued: int


_LIST_QUERY: Final = (
    Query("cursor", meaning="next_cursor of the page before"),
    Query(
        "limit",
        kind="integer",
        minimum=1,
        maximum=_MOST_LIMIT,
        meaning="spans per page, 100 by default",
    ),
    Query("sort", allowed=("id", "start_time"), meaning="id is the order of arrival, the default"),
    Query("order", allowed=("asc", "desc"), meaning="desc by default: newest first"),
    Query("start_time", kind="datetime", meaning="started then or later"),
    Query("end_time", kind="datetime", meaning="started before"),
    Query("trace_id", many=True, meaning="32 hexadecimal digits"),
    Query("span_id", many=True, meaning="16 hexadecimal digits"),
    Query("parent_id", meaning="16 hexadecimal digits, or null for spans without a parent"),
    Query("name", many=True, meaning="exact name"),
    Query("span_kind", many=True, meaning="TOOL, CHAIN, LLM ..."),
    Query("status_code", many=True, meaning="UNSET, OK or ERROR"),
    Query("attribute", many=True, meaning="key:value; the value is JSON or a plain text"),
)
_OTLP_QUERY: Final = tuple(
    query for query in _LIST_QUERY if query.name not in {"sort", "order", "span_kind"}
)


def _id_bytes(text: str, size_bytes: int) -> bytes | None:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if len(found) == size_bytes else None


def _ids(texts: Sequence[str], size_bytes: int) -> tuple[bytes, ...] | None:
    """Read ids; what cannot be one matches nothing, as an unknown one would."""
    if not texts:
        return None
    found = (_id_bytes(text, size_bytes) for text in texts)
    return tuple(one for one in found if one is not None)


def _known(name: str, texts: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...] | None:
    """Read values of a closed list in any case.

    Raises:
        InvalidError: names those that are not in it.
    """
    unknown = [text for text in texts if text.upper() not in allowed]
    if unknown:
        raise InvalidError(f"Invalid {name} values: {unknown}"[:1000])
    return tuple(text.upper() for text in texts) or None


def _time_ns(value: object) -> int | None:
    return time_ns(value) if isinstance(value, datetime) else None


def _filter_of(values: Mapping[str, Any]) -> SpanFilter:
    """Build the filter from the query.

    Raises:
        InvalidError: an unknown kind or status, or an attribute filter that cannot be read.
    """
    parent = values["parent_id"]
    trace_ids, span_ids = _ids(values["trace_id"], 16), _ids(values["span_id"], 8)
    parent_id = None
    if parent is not None:
        parent_id = b"" if parent == _ROOTS else _id_bytes(parent, 8)
        if parent_id is None:
            span_ids = ()
    if len(values["attribute"]) > MOST_ATTRIBUTE_FILTERS:
        raise InvalidError(f"At most {MOST_ATTRIBUTE_FILTERS} attribute filters are allowed")
    return SpanFilter(
        trace_ids=trace_ids,
        span_ids=span_ids,
        parent_id=parent_id,
        names=values["name"] or None,
        span_kinds=_known("span_kind", values.get("span_kind", ()), sorted(SPAN_KINDS)),
        status_codes=_known("status_code", values["status_code"], STATUS_CODES),
        from_ns=_time_ns(values["start_time"]),
        before_ns=_time_ns(values["end_time"]),
        attributes=tuple(attribute_match(text) for text in values["attribute"]),
    )


def _shown(page: SpanPage) -> Response:
    data = [span_to_json(span, global_id(SPAN_KIND, span.row_id)) for span in page.spans]
    return json_answer({"data": data, "next_cursor": page.next_cursor})


def _shown_as_otlp(page: SpanPage) -> Response:
    data = [span_to_otlp(span) for span in page.spans]
    return json_answer(OtlpSpanListAnswer(data, page.next_cursor))


class _SpanHandlers:
    def __init__(
        self, flow: Spans, reserve: Reserve, settings: TracesSettings, body_seconds: float
    ) -> None:
        self._flow, self._reserve = flow, reserve
        self._limit_bytes, self._body_seconds = settings.max_body_bytes, body_seconds

    async def list(self, request: Request) -> Response:
        return await self._list(request, _LIST_QUERY, _shown)

    async def list_otlp(self, request: Request) -> Response:
        return await self._list(request, _OTLP_QUERY, _shown_as_otlp)

    async def _list(
        self, request: Request, declared: tuple[Query, ...], show: Callable[[SpanPage], Response]
    ) -> Response:
        values: Mapping[str, Any] = query_values(request, declared)
        query = SpanPageQuery(
            wanted=_filter_of(values),
            order=SpanOrder(
                by_start=values.get("sort") == "start_time",
                ascending=values.get("order") == "asc",
            ),
            cursor=values["cursor"],
            limit=values["limit"] or _DEFAULT_LIMIT,
        )
        page = await self._flow.page_of_project(
            caller_of(request), path_value(request, "project"), query
        )
        if len(page.spans) <= _SHOWN_AT_ONCE:
            return show(page)
        return await asyncio.to_thread(show, page)

    async def post(self, request: Request) -> Response:
        with self._reserve() as room:
            async with body_in_time(self._body_seconds):
                body = await json_of(
                    request, PostSpansBody, self._limit_bytes, may_hold_nul=True, grow=room.grow
                )
            count = await self._flow.post_spans(
                caller_of(request), path_value(request, "project"), body.data, room
            )
        return json_answer(PostSpansAnswer(count, count), 202)

    async def delete(self, request: Request) -> Response:
        await self._flow.delete_span(caller_of(request), path_value(request, "span"))
        return empty_answer()


def span_routes(
    flow: Spans, reserve: Reserve, settings: TracesSettings, *, body_seconds: float = BODY_SECONDS
) -> tuple[Route, ...]:
    """Return the routes that read, post and delete spans.

    Args:
        flow: of spans.
        reserve: gives each request that posts its room in the queue of the ingest.
        settings: the bounds of a body.
        body_seconds: how long a body may take.
    """
    handlers = _SpanHandlers(flow, reserve, settings, body_seconds)
    return (
        Route(
            method="GET",
            path="/v1/projects/{project}/spans",
            handler=handlers.list,
            permission=Permission.TRACES_READ,
            summary="List the spans of a project",
            response=SpanListAnswer,
            query=_LIST_QUERY,
            tags=("spans",),
        ),
        Route(
            method="GET",
            path="/v1/projects/{project}/spans/otlpv1",
            handler=handlers.list_otlp,
            permission=Permission.TRACES_READ,
            summary="List the spans of a project in the shape of OTLP",
            response=OtlpSpanListAnswer,
            query=_OTLP_QUERY,
            tags=("spans",),
        ),
        Route(
            method="POST",
            path="/v1/projects/{project}/spans",
            handler=handlers.post,
            permission=Permission.TRACES_INGEST,
            summary="Store spans, all or none; answered when they are stored",
            request=PostSpansBody,
            response=PostSpansAnswer,
            status=202,
            no_event="ingest is what the server is for; every span keeps its sender",
            errors=(413,),
            tags=("spans",),
        ),
        Route(
            method="DELETE",
            path="/v1/spans/{span}",
            handler=handlers.delete,
            permission=Permission.TRACES_WRITE,
            summary="Delete one span by id or span_id; its children stay",
            status=204,
            events=(EventName.SPAN_DELETED,),
            errors=(409,),
            tags=("spans",),
        ),
    )
