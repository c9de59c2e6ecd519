"""What annotations are about: from the ids that senders give to rows, and which table is whose.

Source: data-plane contract, sections 1.1 and 9. Decision 11.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, select

from bennu.kernel.errors import ConflictError
from bennu.kernel.ids import row_id_of
from bennu.storage.parts import parts_of
from bennu.storage.schema import (
    document_annotations,
    session_annotations,
    span_annotations,
    spans,
    trace_annotations,
    trace_sessions,
    traces,
)
from bennu.traces.annotations.model import AnnotationKind


@dataclass(frozen=True, slots=True)
class Target:
    """What one kind of annotation is about.

    Args:
        table: of the annotations.
        row: column of that table that refers to what they are about.
        things: table of what they are about.
        thing_id: its column with the id that its sender gave.
        global_kind: of its public ids.
        id_bytes: size of that id, or None for a text.
        words: singular and plural for messages.
    """

    table: Table
    row: str
    things: Table
    thing_id: str
    global_kind: str
    id_bytes: int | None
    words: tuple[str, str]


TARGETS: Final[Mapping[AnnotationKind, Target]] = MappingProxyType(
    {
        AnnotationKind.SPAN: Target(
            span_annotations, "span_row", spans, "span_id", "Span", 8, ("Span", "Spans")
        ),
        AnnotationKind.TRACE: Target(
            trace_annotations, "trace_row", traces, "trace_id", "Trace", 16, ("Trace", "Traces")
        ),
        AnnotationKind.SESSION: Target(
            session_annotations,
            "session_row",
            trace_sessions,
            "session_id",
            "ProjectSession",
            None,
            ("Session", "Sessions"),
        ),
        AnnotationKind.DOCUMENT: Target(
            document_annotations, "span_row", spans, "span_id", "Span", 8, ("Span", "Spans")
        ),
    }
)


class TargetPlace(NamedTuple):
    """Where something lies that an annotation is about."""

    row_id: int
    project_row: int


class AmbiguousTargetError(ConflictError):
    """An id stands in several projects that the caller may see."""


def thing_id_of(target: Target, identifier: str) -> bytes | str | None:
    """Return the sender's id in the form in which it is stored; None when it cannot be one."""
    if target.id_bytes is None:
        return None if "\x00" in identifier else identifier
    try:
        found = bytes.fromhex(identifier)
    except ValueError:
        return None
    return found if len(found) == target.id_bytes else None


def find_targets(
    connection: Connection,
    kind: AnnotationKind,
    identifiers: Collection[str],
    *,
    project_row: int | None = None,
    visible_project_rows: Collection[int] | None = None,
) -> dict[str, TargetPlace]:
    """Find what identifiers name, by public id or by the id that its sender gave.

    Args:
        connection: to read with.
        kind: what they are.
        identifiers: as clients wrote them.
        project_row: only in this project, or None for any.
        visible_project_rows: only in these projects, or None for all.

    Returns:
        Identifier to place; those that name nothing are left out.

    Raises:
        AmbiguousTargetError: one names things in several of these projects.
    """
    visible = visible_project_rows if project_row is None else {project_row}
    places: dict[str, TargetPlace] = {}
    for text, named in find_places(connection, kind, identifiers, visible).items():
        if len(named) > 1:
            word = TARGETS[kind].words[0].lower()
            raise AmbiguousTargetError(
                f"Several projects hold {word} {text[:200]}; name it by its public id"
            )
        places[text] = next(iter(named))
    return places


def find_places(
    connection: Connection,
    kind: AnnotationKind,
    identifiers: Collection[str],
    visible_project_rows: Collection[int] | None,
) -> dict[str, set[TargetPlace]]:
    """Return identifier to everything that it names in these projects, or in all for None.

    A public id that names something is read as that alone. Senders choose session ids, and one
    that spells the public id of somebody else's session must not stand in its place.
    """
    target = TARGETS[kind]
    rows = {text: row_id_of(text, target.global_kind) for text in identifiers}
    ids = {text: thing_id_of(target, text) for text in identifiers}
    by_row = _places(connection, target, target.things.c.id, rows.values())
    by_id = _places(connection, target, target.things.c[target.thing_id], ids.values())
    found: dict[str, set[TargetPlace]] = {}
    for text in identifiers:
        for places in (by_row.get(rows[text], set()), by_id.get(ids[text], set())):
            named = {
                place
                for place in places
                if visible_project_rows is None or place.project_row in visible_project_rows
            }
            if named:
                found[text] = named
                break
    return found


def _places(
    connection: Connection, target: Target, column: ColumnElement[Any], values: Iterable[Any]
) -> dict[Any, set[TargetPlace]]:
    found: dict[Any, set[TargetPlace]] = {}
    in_order = sorted({value for value in values if value is not None})
    for part in parts_of(in_order):
        statement = select(column, target.things.c.id.label("row"), target.things.c.project_id)
        for key, row, project_row in connection.execute(statement.where(column.in_(part))):
            found.setdefault(key, set()).add(TargetPlace(row, project_row))
    return found
