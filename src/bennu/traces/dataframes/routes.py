"""``POST /v1/spans``: span queries, answered as dataframes.

It changes nothing although it is a POST, so that a viewer may use it. The answer is always
``multipart/mixed`` with one table per query; Arrow, which older clients fell back to, is not
written.

Source: data-plane contract, sections 6 and 6.1; RFC 2046 section 5.1.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bennu.access import Permission
from bennu.httpio.request import caller_of, json_of, query_values, time_of
from bennu.httpio.route import Query, Route
from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.traces.dataframes.flow import Dataframes, FrameRequest
from bennu.traces.dataframes.frame import TableWriter
from bennu.traces.dataframes.model import DEFAULT_LIMIT, SpanQueryBody
from bennu.traces.projects.store import DEFAULT_PROJECT_NAME
from bennu.traces.spans.model import time_ns

MULTIPART: Final = "multipart/mixed"
_PROJECT_QUERY: Final = (
    Query("project_name", meaning="name or id; default by default"),
    Query("project-name", meaning="another spelling"),
)


def dataframe_routes(flow: Dataframes) -> tuple[Route, ...]:
    """Return the route that runs span queries."""

    async def run(request: Request) -> Response:
        values = query_values(request, _PROJECT_QUERY)
        body = await json_of(request, SpanQueryBody)
        project = (
            values["project_name"]
            or values["project-name"]
            or request.headers.get("project-name")
            or body.project_name
            or DEFAULT_PROJECT_NAME
        )
        tables = await flow.run(caller_of(request), _request_of(body, str(project)))
        boundary = secrets.token_hex(32)
        return StreamingResponse(
            _parts(tables, boundary), media_type=f"{MULTIPART}; boundary={boundary}"
        )

    return (
        Route(
            method="POST",
            path="/v1/spans",
            handler=run,
            permission=Permission.TRACES_READ,
            summary="Run span queries; the answer holds one table for pandas per query",
            request=SpanQueryBody,
            query=_PROJECT_QUERY,
            responses_media=MULTIPART,
            no_event="a query changes nothing",
            errors=(413,),
            tags=("spans",),
        ),
    )


def _request_of(body: SpanQueryBody, project: str) -> FrameRequest:
    return FrameRequest(
        project=project,
        queries=tuple(body.queries),
        from_ns=_time_ns(body.start_time, "start_time"),
        before_ns=_time_ns(body.end_time or body.stop_time, "end_time"),
        limit=body.limit or DEFAULT_LIMIT,
        only_roots=bool(body.root_spans_only),
        orphans_are_roots=body.orphan_span_as_root_span is not False,
    )


def _time_ns(text: str | None, field: str) -> int | None:
    """Read a time of the body; one without a zone is taken as UTC.

    Raises:
        SchemaError: it is none.
    """
    if text is None:
        return None
    try:
        return time_ns(time_of(text))
    except ValueError as error:
        raise SchemaError(FieldProblem(("body", field), str(error))) from None


def _parts(tables: Iterable[TableWriter], boundary: str) -> Iterator[bytes]:
    for table in tables:
        yield f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode()
        yield from table.chunks()
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
