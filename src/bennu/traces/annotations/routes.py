"""Annotations and notes: ``/v1/{kind}_annotations``, ``/v1/{kind}_notes`` and lists by project.

Source: data-plane contract, section 9.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value, query_values
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Query, Route
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import FieldProblem, InvalidError, SchemaError
from bennu.kernel.ids import global_id
from bennu.traces.annotations import shapes
from bennu.traces.annotations.flow import AnnotationQuery, Annotations, Posted
from bennu.traces.annotations.model import (
    ANNOTATOR_KINDS,
    GLOBAL_KINDS,
    Annotation,
    AnnotationDeletion,
    AnnotationKind,
    StoredAnnotation,
)
from bennu.traces.spans.attributes import is_nested_deeper

_BODY_LIMIT_BYTES: Final = 16 * 1024 * 1024
_TAKEN_AT_ONCE: Final = 100
_DEFAULT_LIMIT: Final = 10
_MOST_LIMIT: Final = 10_000
_MOST_NAMED: Final = 1_000
_NO_EVENT: Final = "annotations are what the server is for; each keeps who wrote it"
_SYNC_QUERY: Final = (
    Query("sync", kind="boolean", meaning="refuse what is not there yet, and answer with the ids"),
)
_DELETE_QUERY: Final = (
    Query("name", meaning="exact name"),
    Query("identifier", meaning="exact identifier"),
    Query("annotator_kind", allowed=ANNOTATOR_KINDS, meaning="who or what annotated"),
    Query("start_time", kind="datetime", meaning="created then or later"),
    Query("end_time", kind="datetime", meaning="created before"),
    Query("delete_all", kind="boolean", meaning="no time bounds what is deleted"),
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the routes of one kind of annotation are made of."""

    kind: AnnotationKind
    id_field: str
    body: type[Any]
    note_body: type[Any] | None = None
    shown: type[Any] | None = None
    list_answer: type[Any] | None = None

    @property
    def list_query(self) -> tuple[Query, ...]:
        named = f"at most {_MOST_NAMED}; any of them"
        return (
            Query(f"{self.id_field}s", many=True, meaning=f"sender's or public id, {named}"),
            Query("identifier", many=True, meaning=f"exact identifier, {named}"),
            Query("include_annotation_names", many=True, meaning="only these names"),
            Query("exclude_annotation_names", many=True, meaning="none of these names"),
            Query("cursor", meaning="next_cursor of the page before"),
            Query(
                "limit",
                kind="integer",
                minimum=1,
                maximum=_MOST_LIMIT,
                meaning=f"annotations per page, {_DEFAULT_LIMIT} by default",
            ),
        )


_KINDS: Final = (
    _Kind(
        AnnotationKind.SPAN,
        "span_id",
        shapes.SpanAnnotationsBody,
        shapes.SpanNoteBody,
        shapes.SpanAnnotationShown,
        shapes.SpanAnnotationListAnswer,
    ),
    _Kind(
        AnnotationKind.TRACE,
        "trace_id",
        shapes.TraceAnnotationsBody,
        shapes.TraceNoteBody,
        shapes.TraceAnnotationShown,
        shapes.TraceAnnotationListAnswer,
    ),
    _Kind(
        AnnotationKind.SESSION,
        "session_id",
        shapes.SessionAnnotationsBody,
        shapes.SessionNoteBody,
        shapes.SessionAnnotationShown,
        shapes.SessionAnnotationListAnswer,
    ),
    _Kind(AnnotationKind.DOCUMENT, "span_id", shapes.DocumentAnnotationsBody),
)


def _posted(number: int, item: Any, id_field: str) -> Posted:  # noqa: ANN401 - one of four shapes
    """Take one annotation out of a body.

    Raises:
        SchemaError: its metadata nests too deep.
    """
    if is_nested_deeper(item.metadata):
        way = ("body", "data", number, "metadata")
        raise SchemaError(FieldProblem(way, "metadata nests too deep"))
    result = item.result or shapes.AnnotationResult()
    said = Annotation(
        name=item.name,
        annotator_kind=item.annotator_kind,
        label=result.label,
        score=result.score,
        explanation=result.explanation,
        metadata=msgspec.json.encode(item.metadata or {}).decode(),
        identifier=item.identifier,
        document_position=getattr(item, "document_position", None),
    )
    return Posted(getattr(item, id_field), said)


def _bounded(values: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return a repeated parameter, None when it was not given.

    Raises:
        InvalidError: it was given too often.
    """
    given: tuple[str, ...] = values[name]
    if len(given) > _MOST_NAMED:
        raise InvalidError(f"At most {_MOST_NAMED} values of {name} are allowed")
    return given or None


class _AnnotationHandlers:
    def __init__(self, flow: Annotations, kind: _Kind) -> None:
        self._flow, self._kind = flow, kind
        self._note_body: type[Any] = kind.note_body or shapes.SpanNoteBody

    async def annotate(self, request: Request) -> Response:
        at_once = bool(query_values(request, _SYNC_QUERY)["sync"])
        body = await json_of(request, self._kind.body, _BODY_LIMIT_BYTES)
        # Many take long to look through: in a thread, so that others are answered meanwhile.
        is_many = len(body.data) > _TAKEN_AT_ONCE
        given = await asyncio.to_thread(self._taken, body) if is_many else self._taken(body)
        ids = await self._flow.annotate(caller_of(request), self._kind.kind, given, at_once=at_once)
        return json_answer(shapes.AnnotationIdsAnswer([shapes.AnnotationId(one) for one in ids]))

    def _taken(self, body: Any) -> list[Posted]:  # noqa: ANN401 - one of four shapes
        return [_posted(n, item, self._kind.id_field) for n, item in enumerate(body.data)]

    async def note(self, request: Request) -> Response:
        data = (await json_of(request, self._note_body)).data
        made = await self._flow.add_note(
            caller_of(request),
            self._kind.kind,
            getattr(data, self._kind.id_field),
            data.note,
            data.identifier,
        )
        return json_answer(shapes.AnnotationIdAnswer(shapes.AnnotationId(made)))

    async def list(self, request: Request) -> Response:
        values: Mapping[str, Any] = query_values(request, self._kind.list_query)
        query = AnnotationQuery(
            targets=_bounded(values, f"{self._kind.id_field}s"),
            identifiers=_bounded(values, "identifier"),
            names=_bounded(values, "include_annotation_names"),
            but_not=_bounded(values, "exclude_annotation_names") or (),
            cursor=values["cursor"],
            limit=values["limit"] or _DEFAULT_LIMIT,
        )
        page = await self._flow.page_of_project(
            caller_of(request), self._kind.kind, path_value(request, "project"), query
        )
        data = [self._shown(annotation) for annotation in page.annotations]
        return json_answer({"data": data, "next_cursor": page.next_cursor})

    def _shown(self, annotation: StoredAnnotation) -> dict[str, object]:
        target = annotation.target
        user = annotation.user_id
        return {
            "id": global_id(GLOBAL_KINDS[self._kind.kind], annotation.row_id),
            "created_at": time_text(annotation.created_at),
            "updated_at": time_text(annotation.updated_at),
            "source": annotation.source,
            "user_id": None if user is None else global_id("User", user),
            "name": annotation.name,
            "annotator_kind": annotation.annotator_kind,
            "result": {
                "label": annotation.label,
                "score": annotation.score,
                "explanation": annotation.explanation,
            },
            "metadata": msgspec.Raw(annotation.metadata.encode()),
            "identifier": annotation.identifier,
            self._kind.id_field: target if isinstance(target, str) else target.hex(),
        }

    async def delete(self, request: Request) -> Response:
        values: Mapping[str, Any] = query_values(request, _DELETE_QUERY)
        from_at, before_at = values["start_time"], values["end_time"]
        deletion = AnnotationDeletion(
            name=values["name"],
            identifier=values["identifier"],
            annotator_kind=values["annotator_kind"],
            from_at=None if from_at is None else to_microseconds(from_at),
            before_at=None if before_at is None else to_microseconds(before_at),
            is_for_all=bool(values["delete_all"]),
        )
        await self._flow.delete(
            caller_of(request), self._kind.kind, path_value(request, "project"), deletion
        )
        return empty_answer()


def annotation_routes(flow: Annotations) -> tuple[Route, ...]:
    """Return the routes of annotations and notes of every kind."""
    routes: list[Route] = []
    for kind in _KINDS:
        handlers = _AnnotationHandlers(flow, kind)
        routes.append(_writing(kind, handlers))
        if kind.note_body is not None:
            routes.append(_noting(kind, handlers))
            routes.extend(_of_project(kind, handlers))
    return tuple(routes)


def _writing(kind: _Kind, handlers: _AnnotationHandlers) -> Route:
    return Route(
        method="POST",
        path=f"/v1/{kind.kind}_annotations",
        handler=handlers.annotate,
        permission=Permission.ANNOTATIONS_WRITE,
        summary=f"Write annotations of {kind.kind}s; what is not there yet is waited for",
        request=kind.body,
        response=shapes.AnnotationIdsAnswer,
        query=_SYNC_QUERY,
        no_event=_NO_EVENT,
        errors=(404, 409, 413),
        tags=("annotations",),
    )


def _noting(kind: _Kind, handlers: _AnnotationHandlers) -> Route:
    return Route(
        method="POST",
        path=f"/v1/{kind.kind}_notes",
        handler=handlers.note,
        permission=Permission.ANNOTATIONS_WRITE,
        summary=f"Write a note on a {kind.kind}",
        request=kind.note_body,
        response=shapes.AnnotationIdAnswer,
        no_event=_NO_EVENT,
        errors=(404, 409, 413),
        tags=("annotations",),
    )


def _of_project(kind: _Kind, handlers: _AnnotationHandlers) -> tuple[Route, ...]:
    path = f"/v1/projects/{{project}}/{kind.kind}_annotations"
    return (
        Route(
            method="GET",
            path=path,
            handler=handlers.list,
            permission=Permission.ANNOTATIONS_READ,
            summary=f"List annotations of {kind.kind}s of a project, newest first",
            response=kind.list_answer,
            query=kind.list_query,
            errors=(409,),
            tags=("annotations",),
        ),
        Route(
            method="DELETE",
            path=path,
            handler=handlers.delete,
            permission=Permission.ANNOTATIONS_WRITE,
            summary=f"Delete annotations of {kind.kind}s of a project, one's own or, as an "
            "administrator, everybody's",
            status=204,
            query=_DELETE_QUERY,
            events=(EventName.ANNOTATION_DELETED,),
            tags=("annotations",),
        ),
    )
