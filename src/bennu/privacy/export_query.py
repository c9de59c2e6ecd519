"""Reads what belongs to a person, or lies in a project, a page at a time by keyset.

A page passes over a bounded number of rows, so that no read takes long and memory stays bounded.

Spec: line 266.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, Table, or_, select

from bennu.audit.query import AuditFilter, read_records
from bennu.httpio.respond import time_text
from bennu.kernel.ids import global_id
from bennu.privacy.erased_store import WINDOW_ROWS
from bennu.privacy.export_records import (
    AnnotationRecord,
    ApiKeyRecord,
    AuditRecord,
    ProfileRecord,
    Record,
    SessionRecord,
    SpanRecord,
)
from bennu.privacy.subject import Subject
from bennu.storage.schema import api_keys, sessions, spans, traces, users
from bennu.traces.annotations.model import AnnotationKind
from bennu.traces.annotations.targets import TARGETS
from bennu.traces.projects.store import KIND as PROJECT
from bennu.traces.spans.filters import SPAN_KIND
from bennu.traces.spans.query import spans_in_rows
from bennu.traces.spans.span_json import span_to_json
from bennu.users.model import USER
from bennu.users.store import find_user

PAGE_RECORDS: Final = 500
_ANNOTATION_IDS: Final = {
    AnnotationKind.SPAN: "SpanAnnotation",
    AnnotationKind.TRACE: "TraceAnnotation",
    AnnotationKind.SESSION: "ProjectSessionAnnotation",
    AnnotationKind.DOCUMENT: "DocumentAnnotation",
}


class Page(NamedTuple):
    """Some records, and where the next page starts; None after the last."""

    records: list[Record]
    following: int | None


Fetch = Callable[[Connection, int], Page]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of an export.

    Args:
        name: of its file, and of the type of its records.
        fetch: reads one page from a place on; the first is 0.
    """

    name: str
    fetch: Fetch


# --- a user of the server ------------------------------------------------------------------


def sections_of_user(subject: Subject) -> list[Section]:
    """Return what an export of a user of the server holds."""
    row, public_id = subject.user_row, subject.user_id

    def audit(connection: Connection, after: int) -> Page:
        return _audit_page(connection, public_id, after)

    def sent(connection: Connection, after: int) -> Page:
        return _spans_page(connection, spans.c.sender == public_id, after)

    return [
        Section("profile", lambda connection, _: _profile(connection, row)),
        Section("api_keys", lambda connection, _: _api_keys(connection, row)),
        Section("sessions", lambda connection, _: _sessions(connection, row)),
        Section("audit_events", audit),
        Section("spans", sent),
        *(_annotations_by(kind, row, public_id) for kind in AnnotationKind),
    ]


def _time(microseconds: int | None) -> str | None:
    return None if microseconds is None else time_text(microseconds)


def _profile(connection: Connection, user_row: int) -> Page:
    row = connection.execute(select(users).where(users.c.id == user_row)).mappings().first()
    user = find_user(connection, user_row)
    if row is None or user is None:
        return Page([], None)
    copied = ("email", "provider", "subject", "external_id", "login_name", "profile_picture_url")
    record = ProfileRecord(
        id=global_id(USER, user_row),
        username=row["username"],
        role=user.role,
        auth_method=row["auth_method"],
        active=row["active"],
        created_at=time_text(row["created_at"]),
        updated_at=time_text(row["updated_at"]),
        last_sign_in_at=_time(row["last_sign_in_at"]),
        **{name: row[name] for name in copied},
    )
    return Page([record], None)


def _api_keys(connection: Connection, user_row: int) -> Page:
    statement = select(api_keys).where(api_keys.c.user_id == user_row).order_by(api_keys.c.id)
    records: list[Record] = []
    for row in connection.execute(statement).mappings():
        projects = None if row["projects"] is None else json.loads(row["projects"])
        records.append(
            ApiKeyRecord(
                id=global_id("UserApiKey", row["id"]),
                name=row["name"],
                description=row["description"],
                permissions=None if row["permissions"] is None else json.loads(row["permissions"]),
                project_ids=projects and [global_id(PROJECT, one) for one in projects],
                created_at=time_text(row["created_at"]),
                expires_at=_time(row["expires_at"]),
                last_used_at=_time(row["last_used_at"]),
                last_used_address=row["last_used_address"],
            )
        )
    return Page(records, None)


def _sessions(connection: Connection, user_row: int) -> Page:
    statement = select(sessions).where(sessions.c.user_id == user_row).order_by(sessions.c.id)
    times = ("authenticated_at", "created_at", "last_used_at", "expires_at")
    records: list[Record] = [
        SessionRecord(
            id=global_id("Session", row["id"]),
            auth_methods=json.loads(row["auth_methods"]),
            provider=row["provider"],
            address=row["address"],
            user_agent=row["user_agent"],
            **{name: time_text(row[name]) for name in times},
        )
        for row in connection.execute(statement).mappings()
    ]
    return Page(records, None)


def _audit_page(connection: Connection, public_id: str, after: int) -> Page:
    """Read records of both roles, each once; what others did is shown without their names."""
    found: dict[int, dict[str, Any]] = {}
    for wanted in (
        AuditFilter(actor_id=public_id, is_oldest_first=True),
        AuditFilter(target_id=public_id, is_oldest_first=True),
    ):
        for record in read_records(connection, wanted, PAGE_RECORDS, after):
            found[record["sequence"]] = record
    in_order = [found[sequence] for sequence in sorted(found)][:PAGE_RECORDS]
    following = in_order[-1]["sequence"] if len(in_order) == PAGE_RECORDS else None
    return Page([_audit_record(record, public_id) for record in in_order], following)


def _audit_record(record: dict[str, Any], public_id: str) -> AuditRecord:
    shown = dict(record)
    if record["actor"]["id"] != public_id:
        shown["actor"] = {**record["actor"], "name": ""}
        shown |= {"address": "", "user_agent": "", "credential": {"kind": "", "id": ""}}
    if record["target"]["kind"] == "user" and record["target"]["id"] != public_id:
        shown["target"] = {**record["target"], "name": ""}
    return AuditRecord(**shown)


# --- spans ---------------------------------------------------------------------------------


def _spans_page(connection: Connection, wanted: ColumnElement[bool], after: int) -> Page:
    """Read the wanted spans among a bounded number of rows."""
    newest = connection.execute(
        select(spans.c.id).order_by(spans.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    if newest is None or after >= newest:
        return Page([], None)
    until = after + WINDOW_ROWS
    rows = connection.execute(
        select(spans.c.id, spans.c.project_id)
        .where(spans.c.id > after, spans.c.id <= until, wanted)
        .order_by(spans.c.id)
        .limit(PAGE_RECORDS)
    ).all()
    following = rows[-1].id if len(rows) == PAGE_RECORDS else until
    return Page(_span_records(connection, rows), following if following < newest else None)


def _span_records(connection: Connection, rows: Sequence[Any]) -> list[Record]:
    project_of = {row.id: row.project_id for row in rows}
    records: list[Record] = []
    for span in spans_in_rows(connection, list(project_of)):
        shown = span_to_json(span, global_id(SPAN_KIND, span.row_id))
        project_id = global_id(PROJECT, project_of[span.row_id])
        records.append(msgspec.convert({**shown, "project_id": project_id}, SpanRecord))
    return records


# --- annotations ---------------------------------------------------------------------------


def _annotations_by(kind: AnnotationKind, user_row: int, sender: str) -> Section:
    table = TARGETS[kind].table
    own = or_(table.c.user_id == user_row, table.c.sender == sender)
    return Section("annotations", lambda connection, after: _said(connection, kind, own, after))


def _said(
    connection: Connection, kind: AnnotationKind, wanted: ColumnElement[bool], after: int
) -> Page:
    target = TARGETS[kind]
    table, things = target.table, target.things
    statement = (
        select(table, things.c[target.thing_id].label("thing"))
        .join(things, things.c.id == table.c[target.row])
        .where(table.c.id > after, wanted)
        .order_by(table.c.id)
        .limit(PAGE_RECORDS)
    )
    rows = connection.execute(statement).mappings().all()
    records: list[Record] = [_annotation(kind, table, row) for row in rows]
    return Page(records, rows[-1]["id"] if len(rows) == PAGE_RECORDS else None)


def _annotation(kind: AnnotationKind, table: Table, row: RowMapping) -> AnnotationRecord:
    thing = row["thing"]
    copied = ("name", "identifier", "annotator_kind", "label", "score", "explanation", "source")
    position = row["document_position"] if "document_position" in table.c else None
    return AnnotationRecord(
        id=global_id(_ANNOTATION_IDS[kind], row["id"]),
        kind=str(kind),
        project_id=global_id(PROJECT, row["project_id"]),
        target_id=thing.hex() if isinstance(thing, bytes) else thing,
        document_position=position,
        metadata=json.loads(row["metadata"]),
        user_id=None if row["user_id"] is None else global_id(USER, row["user_id"]),
        created_at=time_text(row["created_at"]),
        updated_at=time_text(row["updated_at"]),
        **{name: row[name] for name in copied},
    )


# --- a person in traces, a project ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowsOfPerson:
    """The traces that name a person, as rows; whole traces, since any span may tell of them."""

    traces: Sequence[int]
    spans: Sequence[int]
    sessions: Sequence[int]


def rows_in_traces(
    connection: Connection, trace_rows: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return the rows of spans and of sessions of traces."""
    in_them = select(spans.c.id).where(spans.c.trace_row.in_(trace_rows)).order_by(spans.c.id)
    named = select(traces.c.session_id).where(
        traces.c.id.in_(trace_rows), traces.c.session_id.is_not(None)
    )
    found = connection.execute(in_them).scalars().all()
    return list(found), list(connection.execute(named.distinct()).scalars().all())


def sections_of_person(rows: RowsOfPerson) -> list[Section]:
    """Return what an export of a person in traces holds."""
    of_kind = {
        AnnotationKind.SPAN: rows.spans,
        AnnotationKind.DOCUMENT: rows.spans,
        AnnotationKind.TRACE: rows.traces,
        AnnotationKind.SESSION: rows.sessions,
    }

    def fetch_spans(connection: Connection, place: int) -> Page:
        some, following = _slice(rows.spans, place)
        found = select(spans.c.id, spans.c.project_id).where(spans.c.id.in_(some))
        in_order = connection.execute(found.order_by(spans.c.id)).all()
        return Page(_span_records(connection, in_order), following)

    said = [Section("annotations", _said_about(kind, of)) for kind, of in of_kind.items()]
    return [Section("spans", fetch_spans), *said]


def _slice(rows: Sequence[int], place: int) -> tuple[list[int], int | None]:
    end = place + PAGE_RECORDS
    return list(rows[place:end]), end if end < len(rows) else None


def _said_about(kind: AnnotationKind, rows: Sequence[int]) -> Fetch:
    target = TARGETS[kind]

    def fetch(connection: Connection, place: int) -> Page:
        some, following = _slice(rows, place)
        about = target.table.c[target.row].in_(some)
        records: list[Record] = []
        after: int | None = 0
        while after is not None:
            page = _said(connection, kind, about, after)
            records += page.records
            after = page.following
        return Page(records, following)

    return fetch


def sections_of_project(project_row: int, *, with_annotations: bool) -> list[Section]:
    """Return what the export of a project holds."""

    def fetch_spans(connection: Connection, after: int) -> Page:
        statement = (
            select(spans.c.id, spans.c.project_id)
            .where(spans.c.project_id == project_row, spans.c.id > after)
            .order_by(spans.c.id)
            .limit(PAGE_RECORDS)
        )
        rows = connection.execute(statement).all()
        following = rows[-1].id if len(rows) == PAGE_RECORDS else None
        return Page(_span_records(connection, rows), following)

    def fetch_said(kind: AnnotationKind) -> Fetch:
        wanted = TARGETS[kind].table.c.project_id == project_row
        return lambda connection, after: _said(connection, kind, wanted, after)

    kinds = AnnotationKind if with_annotations else ()
    said = [Section("annotations", fetch_said(kind)) for kind in kinds]
    return [Section("spans", fetch_spans), *said]
