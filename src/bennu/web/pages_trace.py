"""One trace: its tree and waterfall, and one span of it in full, with what was said about it.

The content of a span is read only when it is chosen, so that a trace of thousands of spans opens
at once; of a long tree the first part is shown, the rest on demand.

Decision 20.
"""

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Caller, Permission
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Route
from bennu.kernel.errors import AppError, FieldProblem, SchemaError
from bennu.traces.annotations.flow import AnnotationQuery, Posted
from bennu.traces.annotations.model import AnnotationKind, StoredAnnotation
from bennu.traces.browsing.model import WholeTrace
from bennu.traces.spans.span_json import StoredSpan
from bennu.web.annotation_view import AnnotationRow, annotation_of, annotation_row
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of
from bennu.web.pages_projects import TraceFlows
from bennu.web.span_view import SpanContent, span_content
from bennu.web.trace_tree import RULER_PARTS, TreeRow, tree_rows

_PATH: Final = "/projects/{project}/traces/{trace_id}"
_ROWS_A_PART: Final = 200
_MOST_ANNOTATIONS: Final = 100
_TYPED: Final = ("about", "name", "label", "score", "explanation")


class _TracePages:
    def __init__(self, pages: Pages, flows: TraceFlows) -> None:
        self._pages, self._flows = pages, flows

    async def trace(self, request: Request) -> Response:
        """Show a trace and the span that was chosen, at first the one at the top."""
        return await self._show(request)

    async def _show(
        self,
        request: Request,
        status: int = 200,
        error: AppError | None = None,
        sent: Form | None = None,
    ) -> Response:
        caller, project = caller_of(request), path_value(request, "project")
        trace_id = path_value(request, "trace_id")
        whole = await self._flows.browsing.whole_trace(caller, project, trace_id)
        rows = tree_rows(whole.spans)
        asked = request.query_params.get("span", "") if sent is None else sent.text("span")
        chosen = asked or _first(rows)
        begin, end = _part(rows, request.query_params.get("from", ""), chosen)
        span = None
        if chosen:
            span = await self._flows.browsing.whole_span(caller, project, trace_id, chosen)
        return self._pages.show(
            request,
            "trace.html",
            status,
            whole=whole,
            rows=rows[begin:end],
            begin=begin,
            end=end,
            row_count=len(rows),
            part=_ROWS_A_PART,
            ruler=RULER_PARTS,
            chosen=chosen,
            span=span,
            content=None if span is None else await content_of_span(span.span),
            sums=_sums(whole),
            annotations=await self._annotations(caller, whole, chosen),
            may_annotate=caller.principal.may(Permission.ANNOTATIONS_WRITE),
            typed={name: "" if sent is None else sent.text(name) for name in _TYPED},
            errors={} if error is None else problems_of(error),
        )

    # --- annotations ---------------------------------------------------------------------------

    async def _annotations(
        self, caller: Caller, whole: WholeTrace, span_id: str
    ) -> list[AnnotationRow]:
        """Return what was said about the chosen span and about the trace, the newest first."""
        if not caller.principal.may(Permission.ANNOTATIONS_READ):
            return []
        trace_id = whole.trace.trace_id.hex()
        found: list[tuple[StoredAnnotation, bool]] = []
        for kind, target in ((AnnotationKind.SPAN, span_id), (AnnotationKind.TRACE, trace_id)):
            if not target:
                continue
            query = AnnotationQuery((target,), None, None, (), None, _MOST_ANNOTATIONS)
            page = await self._flows.annotations.page_of_project(
                caller, kind, whole.project.public_id, query
            )
            found += [(one, kind is AnnotationKind.TRACE) for one in page.annotations]
        found.sort(key=lambda pair: -pair[0].updated_at)
        authors = {
            user_id: await self._flows.author_name(user_id)
            for user_id in {one.user_id for one, _ in found}
            if user_id is not None
        }
        return [annotation_row(one, authors, is_of_trace=is_trace) for one, is_trace in found]

    async def annotate(self, request: Request) -> Response:
        """Write an annotation or a note about the chosen span or the whole trace."""
        form = await self._pages.form(request)
        caller, trace_id = caller_of(request), path_value(request, "trace_id")
        project = path_value(request, "project")
        # What cannot be seen here cannot be annotated from here.
        await self._flows.browsing.whole_trace(caller, project, trace_id)
        try:
            await self._write(caller, form, trace_id)
        except AppError as error:
            return await self._show(request, status_of(error), error, form)
        here = f"/projects/{project}/traces/{trace_id}"
        return self._pages.go(here, span=form.text("span"), done="annotated")

    async def _write(self, caller: Caller, form: Form, trace_id: str) -> None:
        is_of_trace = form.text("about") == "trace" or not form.text("span")
        kind = AnnotationKind.TRACE if is_of_trace else AnnotationKind.SPAN
        target = trace_id if is_of_trace else form.text("span")
        if form.text("name"):
            posted = [Posted(target, annotation_of(form))]
            await self._flows.annotations.annotate(caller, kind, posted, at_once=True)
        else:
            note = form.text("explanation")
            if not note:
                raise SchemaError(FieldProblem(("body", "explanation"), "Write something"))
            await self._flows.annotations.add_note(caller, kind, target, note, "")


async def content_of_span(span: StoredSpan) -> SpanContent:
    """Return what a page shows of a span, read in a thread: it may hold megabytes."""
    return await asyncio.to_thread(lambda: span_content(span.attributes, span.events))


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
    """Return the routes of one trace."""
    of = _TracePages(pages, flows)
    table = (
        Route(
            method="GET",
            path=_PATH,
            handler=of.trace,
            permission=Permission.TRACES_READ,
            summary="The page of one trace",
        ),
        Route(
            method="POST",
            path=_PATH + "/annotations",
            handler=of.annotate,
            permission=Permission.ANNOTATIONS_WRITE,
            summary="Annotate a span or a trace by the form of the page",
            status=303,
            no_event="annotations are what the server is for, and each keeps who wrote it",
        ),
    )
    return tuple(pages.as_page(route) for route in table)
