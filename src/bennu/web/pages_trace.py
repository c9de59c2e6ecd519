"""One trace: its tree and waterfall, and one span of it in full.

The content of a span is read only when it is chosen, so that a trace of thousands of spans opens
at once; of a long tree the first part is shown, the rest on demand.

Decision 17.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.route import Route
from bennu.traces.browsing.model import WholeTrace
from bennu.web.pages import Pages
from bennu.web.pages_projects import TraceFlows
from bennu.web.span_view import span_content
from bennu.web.trace_tree import RULER_PARTS, TreeRow, tree_rows

_ROWS_A_PART: Final = 400


class _TracePages:
    def __init__(self, pages: Pages, flows: TraceFlows) -> None:
        self._pages, self._flows = pages, flows

    async def trace(self, request: Request) -> Response:
        """Show a trace and the span that was chosen, at first the one at the top."""
        caller, project = caller_of(request), path_value(request, "project")
        trace_id = path_value(request, "trace_id")
        whole = await self._flows.browsing.whole_trace(caller, project, trace_id)
        rows = tree_rows(whole.spans)
        chosen = request.query_params.get("span", "") or _first(rows)
        begin, end = _part(rows, request.query_params.get("from", ""), chosen)
        span = None
        if chosen:
            span = await self._flows.browsing.whole_span(caller, project, trace_id, chosen)
        return self._pages.show(
            request,
            "trace.html",
            whole=whole,
            rows=rows[begin:end],
            begin=begin,
            end=end,
            row_count=len(rows),
            part=_ROWS_A_PART,
            ruler=RULER_PARTS,
            chosen=chosen,
            span=span,
            content=None if span is None else span_content(span.span.attributes, span.span.events),
            sums=_sums(whole),
        )


def _first(rows: list[TreeRow]) -> str:
    return rows[0].span.span_id.hex() if rows else ""


def _part(rows: list[TreeRow], asked: str, chosen: str) -> tuple[int, int]:
    """Return which rows to show: the part asked for, else the one with the chosen span."""
    if asked.isascii() and asked.isdecimal() and len(asked) <= len(str(len(rows))):
        begin = min(int(asked), max(len(rows) - 1, 0))
    else:
        ids = [row.span.span_id.hex() for row in rows]
        begin = ids.index(chosen) if chosen in ids else 0
    begin -= begin % _ROWS_A_PART
    return begin, min(begin + _ROWS_A_PART, len(rows))


def _sums(whole: WholeTrace) -> dict[str, Any]:
    return {
        "duration_ns": whole.trace.latency_ns,
        "spans": len(whole.spans),
        "errors": sum(1 for span in whole.spans if span.status_code == "ERROR"),
        "prompt_tokens": whole.trace.prompt_tokens,
        "completion_tokens": whole.trace.completion_tokens,
    }


def trace_page_routes(pages: Pages, flows: TraceFlows) -> tuple[Route, ...]:
    """Return the route of one trace."""
    of = _TracePages(pages, flows)
    route = Route(
        method="GET",
        path="/projects/{project}/traces/{trace_id}",
        handler=of.trace,
        permission=Permission.TRACES_READ,
        summary="The page of one trace",
    )
    return (pages.as_page(route),)
