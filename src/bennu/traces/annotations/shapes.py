"""The bodies and answers of annotations and notes, kind by kind, as clients see them.

Source: data-plane contract, section 9.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

AnnotatorKind = Literal["LLM", "CODE", "HUMAN"]
#: Of one request; the official clients send dataframes in hundreds.
_BOUNDED: Final = msgspec.Meta(max_length=10_000)


class AnnotationResult(msgspec.Struct):
    """What was found; any of the three."""

    label: str | None = None
    score: float | None = None
    explanation: str | None = None


class AnnotationGiven(msgspec.Struct, kw_only=True):
    """What every annotation says."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    annotator_kind: AnnotatorKind
    result: AnnotationResult | None = None
    metadata: dict[str, Any] | None = None
    identifier: str = ""


class SpanAnnotationGiven(AnnotationGiven):
    """What is said about a span."""

    span_id: str


class TraceAnnotationGiven(AnnotationGiven):
    """What is said about a trace."""

    trace_id: str


class SessionAnnotationGiven(AnnotationGiven):
    """What is said about a session."""

    session_id: str


class DocumentAnnotationGiven(AnnotationGiven):
    """What is said about a document that a span retrieved."""

    span_id: str
    document_position: int


class SpanAnnotationsBody(msgspec.Struct):
    """Annotations of spans."""

    data: Annotated[list[SpanAnnotationGiven], _BOUNDED]


class TraceAnnotationsBody(msgspec.Struct):
    """Annotations of traces."""

    data: Annotated[list[TraceAnnotationGiven], _BOUNDED]


class SessionAnnotationsBody(msgspec.Struct):
    """Annotations of sessions."""

    data: Annotated[list[SessionAnnotationGiven], _BOUNDED]


class DocumentAnnotationsBody(msgspec.Struct):
    """Annotations of documents."""

    data: Annotated[list[DocumentAnnotationGiven], _BOUNDED]


class AnnotationId(msgspec.Struct):
    """The public id of an annotation."""

    id: str


class AnnotationIdsAnswer(msgspec.Struct):
    """Public ids in the order of the request; none where they may still wait."""

    data: list[AnnotationId]


class AnnotationIdAnswer(msgspec.Struct):
    """The public id of a note."""

    data: AnnotationId


class NoteGiven(msgspec.Struct, kw_only=True):
    """What every note says."""

    note: Annotated[str, msgspec.Meta(min_length=1)]
    identifier: str = ""


class SpanNoteGiven(NoteGiven):
    """A note on a span."""

    span_id: Annotated[str, msgspec.Meta(min_length=1)]


class TraceNoteGiven(NoteGiven):
    """A note on a trace."""

    trace_id: Annotated[str, msgspec.Meta(min_length=1)]


class SessionNoteGiven(NoteGiven):
    """A note on a session."""

    session_id: Annotated[str, msgspec.Meta(min_length=1)]


class SpanNoteBody(msgspec.Struct):
    """A note on a span."""

    data: SpanNoteGiven


class TraceNoteBody(msgspec.Struct):
    """A note on a trace."""

    data: TraceNoteGiven


class SessionNoteBody(msgspec.Struct):
    """A note on a session."""

    data: SessionNoteGiven


class _AnnotationShown(msgspec.Struct, kw_only=True):
    id: str
    created_at: str
    updated_at: str
    source: Literal["API", "APP"]
    user_id: str | None
    name: str
    annotator_kind: AnnotatorKind
    result: AnnotationResult
    metadata: dict[str, Any]
    identifier: str


class SpanAnnotationShown(_AnnotationShown):
    """An annotation of a span."""

    span_id: str


class TraceAnnotationShown(_AnnotationShown):
    """An annotation of a trace."""

    trace_id: str


class SessionAnnotationShown(_AnnotationShown):
    """An annotation of a session."""

    session_id: str


class SpanAnnotationListAnswer(msgspec.Struct):
    """One page of annotations of spans, newest first."""

    data: list[SpanAnnotationShown]
    next_cursor: str | None


class TraceAnnotationListAnswer(msgspec.Struct):
    """One page of annotations of traces, newest first."""

    data: list[TraceAnnotationShown]
    next_cursor: str | None


class SessionAnnotationListAnswer(msgspec.Struct):
    """One page of annotations of sessions, newest first."""

    data: list[SessionAnnotationShown]
    next_cursor: str | None
