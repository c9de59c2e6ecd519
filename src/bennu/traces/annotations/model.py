"""What an annotation says and what it may be about. Pure.

Source: data-plane contract, sections 4 and 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

import msgspec

from bennu.kernel.errors import FieldProblem, InvalidError, MalformedError, SchemaError

ANNOTATOR_KINDS: Final = ("LLM", "CODE", "HUMAN")
NOTE: Final = "note"
#: Name and identifier stand in a unique index; PostgreSQL takes no entry above 2,704 bytes.
_KEY_LIMIT_BYTES: Final = 1_000
_POSITION_LIMIT: Final = 1_000_000


class AnnotationKind(StrEnum):
    """What kind of thing annotations of one table are about."""

    SPAN = "span"
    TRACE = "trace"
    SESSION = "session"
    DOCUMENT = "document"


#: The kinds of public ids.
GLOBAL_KINDS: Final[Mapping[AnnotationKind, str]] = MappingProxyType(
    {
        AnnotationKind.SPAN: "SpanAnnotation",
        AnnotationKind.TRACE: "TraceAnnotation",
        AnnotationKind.SESSION: "ProjectSessionAnnotation",
        AnnotationKind.DOCUMENT: "DocumentAnnotation",
    }
)


class Annotation(msgspec.Struct, frozen=True):
    """What somebody says about something.

    Args:
        name: of what is judged, such as ``correctness``; at most 1,000 bytes.
        annotator_kind: one of ``ANNOTATOR_KINDS``.
        label: a word, or None.
        score: a finite number, or None.
        explanation: a text, or None.
        metadata: JSON object as text.
        identifier: tells several annotations of one name apart; "" for the one without.
        document_position: which document of the span, from 0; only about documents.
    """

    name: str
    annotator_kind: str
    label: str | None = None
    score: float | None = None
    explanation: str | None = None
    metadata: str = "{}"
    identifier: str = ""
    document_position: int | None = None


class Author(msgspec.Struct, frozen=True):
    """Who says it, and from where.

    Args:
        source: ``API``, or ``APP`` for a signed-in person.
        sender: public id of the principal.
        user_id: row of the user it acted for, or None.
    """

    source: str
    sender: str
    user_id: int | None


class StoredAnnotation(msgspec.Struct, frozen=True):
    """An annotation as it comes out of the database.

    Args:
        row_id: its row.
        target: the id of what it is about, as its sender gave it: bytes, or the session id.
    """

    row_id: int
    target: bytes | str
    name: str
    identifier: str
    annotator_kind: str
    label: str | None
    score: float | None
    explanation: str | None
    metadata: str
    source: str
    user_id: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class AnnotationFilter:
    """Which annotations of a project; at least one of the first two names something.

    Args:
        target_rows: rows of spans, traces or sessions; None for any.
        identifiers: any of them; None for any.
        names: only these; None for all.
        but_not: none of these.
    """

    target_rows: tuple[int, ...] | None
    identifiers: tuple[str, ...] | None
    names: tuple[str, ...] | None = None
    but_not: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnnotationDeletion:
    """Which annotations of a project are to go; what is None does not matter.

    Args:
        name: exact.
        identifier: exact.
        annotator_kind: one of ``ANNOTATOR_KINDS``.
        from_at: created then or later, microseconds since 1970 UTC.
        before_at: created before.
        is_for_all: the caller says that no time bounds it.
    """

    name: str | None = None
    identifier: str | None = None
    annotator_kind: str | None = None
    from_at: int | None = None
    before_at: int | None = None
    is_for_all: bool = False

    def require_bounds(self) -> None:
        """Refuse a deletion that its caller may not have meant for everything.

        Raises:
            InvalidError: neither both times nor the word for it.
        """
        if not self.is_for_all and (self.from_at is None or self.before_at is None):
            raise InvalidError(
                "Without an end: give both start_time and end_time, or delete_all=true"
            )


def check_annotation(annotation: Annotation, way: tuple[str | int, ...]) -> None:
    """Refuse what cannot be stored.

    Args:
        annotation: as it was sent.
        way: to it in the body, for the message.

    Raises:
        MalformedError: the name is the one of notes.
        SchemaError: names the field and what is allowed.
    """
    if annotation.name == NOTE:
        raise MalformedError(f"The name '{NOTE}' is for notes; use the routes that end in _notes")
    if not annotation.name.strip():
        raise _problem(way, "name", "must not be blank")
    for field in ("name", "identifier"):
        if len(getattr(annotation, field).encode()) > _KEY_LIMIT_BYTES:
            raise _problem(way, field, f"must not be longer than {_KEY_LIMIT_BYTES} bytes")
    if annotation.annotator_kind not in ANNOTATOR_KINDS:
        raise _problem(way, "annotator_kind", f"must be one of {', '.join(ANNOTATOR_KINDS)}")
    if annotation.score is not None and not isfinite(annotation.score):
        raise _problem(way, "score", "must be a finite number")
    if annotation.document_position is not None:
        _check_document(annotation, annotation.document_position, way)


def _check_document(annotation: Annotation, position: int, way: tuple[str | int, ...]) -> None:
    if annotation.identifier.strip():
        raise _problem(way, "identifier", "must be empty for documents")
    if not 0 <= position <= _POSITION_LIMIT:
        raise _problem(way, "document_position", f"must be between 0 and {_POSITION_LIMIT}")


def _problem(way: tuple[str | int, ...], field: str, what: str) -> SchemaError:
    return SchemaError(FieldProblem((*way, field), f"{field} {what}"))


def document_count(attributes: Mapping[str, Any]) -> int:
    """Return how many documents a span holds that annotations can be about."""
    for group, name in (("retrieval", "documents"), ("reranker", "output_documents")):
        inner = attributes.get(group)
        documents = inner.get(name) if isinstance(inner, dict) else None
        if isinstance(documents, list):
            return len(documents)
    return 0
