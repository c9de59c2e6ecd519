"""Rows of annotations: write, list, delete; and those that wait for what they are about.

Source: data-plane contract, sections 4 and 9.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select

from bennu.kernel.errors import TooLargeError
from bennu.storage.bulk import BulkStatement, run_with_rows
from bennu.storage.parts import parts_of
from bennu.storage.schema import spans, waiting_annotations
from bennu.traces.annotations.model import (
    Annotation,
    AnnotationDeletion,
    AnnotationFilter,
    AnnotationKind,
    Author,
    StoredAnnotation,
    document_count,
)
from bennu.traces.annotations.targets import TARGETS, TargetPlace
from bennu.traces.spans.driving import hidden_number
from bennu.traces.spans.openinference import decode_json_text

_COLUMNS: Final = (
    "name",
    "identifier",
    "annotator_kind",
    "label",
    "score",
    "explanation",
    "metadata",
    "source",
    "sender",
    "user_id",
    "created_at",
    "updated_at",
)
#: Of one annotation that waits, with the id of what it is about.
MOST_WAITING_BYTES: Final = 65_536
_KINDS: Final = (*("text",) * 4, "double precision", *("text",) * 4, *("bigint",) * 3)
_CHANGED: Final = tuple(c for c in _COLUMNS if c not in {"name", "identifier", "created_at"})


class Placed(NamedTuple):
    """An annotation and where what it is about lies."""

    place: TargetPlace
    annotation: Annotation
    author: Author


def _upsert_statement(kind: AnnotationKind, *, unless_newer: bool = False) -> BulkStatement:
    target = TARGETS[kind]
    key = [target.row, *(["document_position"] if kind is AnnotationKind.DOCUMENT else [])]
    columns = ["project_id", *key, *_COLUMNS]
    names = ", ".join(columns)
    unique = ", ".join([*key, "name", "identifier"])
    changed = ", ".join(f"{name} = excluded.{name}" for name in _CHANGED)
    table = target.table.name
    which = f"WHERE {table}.updated_at <= excluded.updated_at" if unless_newer else ""
    text = (
        f"WITH given({names}) AS ({{given}}) "  # noqa: S608 - constant names only
        f"INSERT INTO {table} ({names}) SELECT {names} FROM given WHERE true "
        f"ON CONFLICT ({unique}) DO UPDATE SET {changed} {which} RETURNING id, {unique}"
    )
    kinds = ("bigint", "bigint", *(["integer"] if len(key) > 1 else []), *_KINDS)
    return BulkStatement(text, kinds)


_UPSERTS: Final = {kind: _upsert_statement(kind) for kind in AnnotationKind}
_UPSERTS_UNLESS_NEWER: Final = {
    kind: _upsert_statement(kind, unless_newer=True) for kind in AnnotationKind
}


def upsert_annotations(
    connection: Connection, kind: AnnotationKind, given: Sequence[Placed], now_microseconds: int
) -> list[int]:
    """Write annotations; one of the same name, identifier and target is replaced.

    Returns:
        Their rows, in the order given; of equal ones in one call the last one stays.
    """
    keys = [_key_of(kind, one) for one in given]
    rows = {key: _row_of(key, one, now_microseconds) for key, one in zip(keys, given, strict=True)}
    # Sorted, so that two processes lock the same rows in the same order.
    in_order = [rows[key] for key in sorted(rows)]
    made = {row[1:]: row[0] for row in run_with_rows(connection, _UPSERTS[kind], in_order)}
    return [made[key] for key in keys]


def upsert_unless_newer(
    connection: Connection, kind: AnnotationKind, given: Sequence[tuple[Placed, int]]
) -> None:
    """Write annotations, each with when it was said; one of later replaces, one of before not.

    Args:
        connection: to write with.
        kind: what they are about.
        given: in the order in which they were said, with microseconds since 1970 UTC.
    """
    rows = {_key_of(kind, one): (one, said_at) for one, said_at in given}
    # Sorted, so that two processes lock the same rows in the same order.
    in_order = [_row_of(key, *rows[key]) for key in sorted(rows)]
    run_with_rows(connection, _UPSERTS_UNLESS_NEWER[kind], in_order)


def _key_of(kind: AnnotationKind, one: Placed) -> tuple[Any, ...]:
    said = one.annotation
    position = () if kind is not AnnotationKind.DOCUMENT else (said.document_position,)
    return (one.place.row_id, *position, said.name, said.identifier)


def _row_of(key: tuple[Any, ...], one: Placed, said_at: int) -> tuple[Any, ...]:
    said = one.annotation
    return (
        one.place.project_row,
        *key,
        said.annotator_kind,
        said.label,
        said.score,
        said.explanation,
        said.metadata,
        *msgspec.structs.astuple(one.author),
        said_at,
        said_at,
    )


def list_annotations(
    connection: Connection,
    kind: AnnotationKind,
    project_row: int,
    wanted: AnnotationFilter,
    newest_row: int | None,
    limit: int,
) -> list[StoredAnnotation]:
    """Return up to ``limit`` annotations of a project, the newest row first."""
    target = TARGETS[kind]
    table, things = target.table, target.things
    row: ColumnElement[int] = table.c.id
    conditions: list[ColumnElement[bool]]
    if wanted.target_rows is not None:
        # Few rows by what they name: read by that index and sorted.
        row = hidden_number(row)
        conditions = [table.c[target.row].in_(wanted.target_rows)]
    else:
        conditions = [table.c.project_id == project_row]
    if wanted.identifiers is not None:
        conditions.append(_one_of(table.c.identifier, wanted.identifiers))
    if wanted.names is not None:
        conditions.append(table.c.name.in_(wanted.names))
    if wanted.but_not:
        conditions.append(table.c.name.not_in(wanted.but_not))
    if newest_row is not None:
        conditions.append(row <= newest_row)
    shown = ("name", "identifier", "annotator_kind", "label", "score", "explanation", "metadata")
    statement = (
        select(
            table.c.id,
            things.c[target.thing_id],
            *(table.c[name] for name in shown),
            table.c.source,
            table.c.user_id,
            table.c.created_at,
            table.c.updated_at,
        )
        .join(things, things.c.id == table.c[target.row])
        .where(*conditions)
        .order_by(row.desc())
        .limit(limit)
    )
    return [StoredAnnotation(*values) for values in map(tuple, connection.execute(statement))]


def _one_of(column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition; within a single value an index also gives the order."""
    return column == values[0] if len(values) == 1 else column.in_(values)


def delete_annotations(
    connection: Connection,
    kind: AnnotationKind,
    project_row: int,
    deletion: AnnotationDeletion,
    own: Author | None,
    limit: int,
) -> int:
    """Delete up to ``limit`` annotations of a project; return how many went.

    Args:
        connection: to write with.
        kind: what they are about.
        project_row: of the project.
        deletion: which of them.
        own: only what this author wrote, or None for everybody's.
        limit: at most so many.
    """
    table = TARGETS[kind].table
    conditions: list[ColumnElement[bool]] = [table.c.project_id == project_row]
    for name in ("name", "identifier", "annotator_kind"):
        value = getattr(deletion, name)
        if value is not None:
            conditions.append(table.c[name] == value)
    if deletion.from_at is not None:
        conditions.append(table.c.created_at >= deletion.from_at)
    if deletion.before_at is not None:
        conditions.append(table.c.created_at < deletion.before_at)
    if own is not None:
        is_own = and_(table.c.sender == own.sender, table.c.sender != "")
        if own.user_id is not None:
            is_own = or_(is_own, table.c.user_id == own.user_id)
        conditions.append(is_own)
    some = select(table.c.id).where(*conditions).limit(limit)
    gone = connection.execute(delete(table).where(table.c.id.in_(some)).returning(table.c.id))
    return len(gone.all())


def are_known_documents(
    connection: Connection, kind: AnnotationKind, placed: Sequence[Placed]
) -> list[bool]:
    """Tell of each annotation whether its span holds the document; others than of documents do."""
    if kind is not AnnotationKind.DOCUMENT:
        return [True] * len(placed)
    counts: dict[int, int] = {}
    span_rows = sorted({one.place.row_id for one in placed})
    for part in parts_of(span_rows):
        statement = select(spans.c.id, spans.c.attributes).where(spans.c.id.in_(part))
        for row in connection.execute(statement):
            counts[row.id] = document_count(decode_json_text(row.attributes))
    return [
        (one.annotation.document_position or 0) < counts.get(one.place.row_id, 0) for one in placed
    ]


# --- those that wait -----------------------------------------------------------------------


class Waiting(msgspec.Struct, frozen=True):
    """An annotation whose target has not come yet.

    Args:
        row_id: its row.
        kind: what it is about.
        target: the identifier as it was sent.
        project_ids: rows of the projects its sender is restricted to, or None.
        annotation: what it says.
        author: who says it.
        created_at: when it came.
    """

    row_id: int
    kind: AnnotationKind
    target: str
    project_ids: frozenset[int] | None
    annotation: Annotation
    author: Author
    created_at: int


def add_waiting(connection: Connection, given: Sequence[Waiting]) -> None:
    """Keep annotations until what they are about comes; their row ids do not count.

    Raises:
        TooLargeError: one is too large to wait: many are read at once, again and again.
    """
    connection.execute(insert(waiting_annotations), [_waiting_row(one) for one in given])


def _waiting_row(one: Waiting) -> dict[str, object]:
    content = msgspec.json.encode((one.annotation, one.author.source))
    if len(content) + len(one.target.encode()) > MOST_WAITING_BYTES:
        raise TooLargeError(
            f"An annotation of more than {MOST_WAITING_BYTES} bytes cannot wait for what it is "
            "about; send it when it is there"
        )
    projects = one.project_ids
    return {
        "kind": str(one.kind),
        "target": one.target,
        "project_ids": None if projects is None else msgspec.json.encode(sorted(projects)).decode(),
        "content": content.decode(),
        "sender": one.author.sender,
        "user_id": one.author.user_id,
        "created_at": one.created_at,
    }


def count_waiting(connection: Connection) -> int:
    """Return how many wait."""
    statement = select(func.count()).select_from(waiting_annotations)
    return int(connection.execute(statement).scalar_one())


def waiting_after(connection: Connection, row_id: int, limit: int) -> list[Waiting]:
    """Return some that wait, in the order in which they came, after a row."""
    table = waiting_annotations
    statement = select(table).where(table.c.id > row_id).order_by(table.c.id).limit(limit)
    return [_waiting_of(row) for row in connection.execute(statement).mappings()]


def _waiting_of(row: Any) -> Waiting:  # noqa: ANN401 - a row of the table
    annotation, source = msgspec.json.decode(row["content"], type=tuple[Annotation, str])
    projects = row["project_ids"]
    return Waiting(
        row_id=row["id"],
        kind=AnnotationKind(row["kind"]),
        target=row["target"],
        project_ids=None if projects is None else frozenset(msgspec.json.decode(projects)),
        annotation=annotation,
        author=Author(source, row["sender"], row["user_id"]),
        created_at=row["created_at"],
    )


def remove_waiting(connection: Connection, row_ids: Collection[int]) -> None:
    """Take out those that wait no longer."""
    table = waiting_annotations
    connection.execute(delete(table).where(table.c.id.in_(sorted(row_ids))))
