"""Finds and deletes what belongs to a person; each call is one short step.

Spec: line 265.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select
from sqlalchemy import delete as delete_from

from bennu.audit.store import drop_personal_fields
from bennu.kernel.ids import global_id
from bennu.privacy.subject import SESSION_KEY, Subject
from bennu.storage.parts import parts_of
from bennu.storage.schema import (
    api_keys,
    applied_erasures,
    audit_events,
    document_annotations,
    known_addresses,
    session_annotations,
    sessions,
    sign_in_failures,
    span_annotations,
    spans,
    trace_annotations,
    trace_sessions,
    traces,
    users,
    waiting_annotations,
)
from bennu.storage.upsert import insert_unless_present
from bennu.traces.projects.held import not_held
from bennu.traces.spans.attribute_query import has_attribute
from bennu.traces.traces.removal import remove_traces
from bennu.users.store import delete_user_row

#: Span rows that one look for an attribute passes over.
WINDOW_ROWS: Final = 5_000
_ANNOTATION_TABLES: Final = (
    span_annotations,
    trace_annotations,
    session_annotations,
    document_annotations,
)
_KEY: Final = {"user": "UserApiKey", "system": "SystemApiKey"}
_SESSION: Final = "Session"


# --- a user of the server ------------------------------------------------------------------


def delete_annotations_by(connection: Connection, user_row: int, sender: str, limit: int) -> int:
    """Delete up to ``limit`` annotations of each kind that a user wrote, waiting ones too."""
    gone = 0
    for table in (*_ANNOTATION_TABLES, waiting_annotations):
        own = or_(table.c.user_id == user_row, table.c.sender == sender)
        some = select(table.c.id).where(own).limit(limit)
        gone += connection.execute(
            delete_from(table).where(table.c.id.in_(some.scalar_subquery()))
        ).rowcount
    return gone


def count_account(connection: Connection, user_row: int, sender: str) -> dict[str, int]:
    """Count what belongs to a user of the server."""
    counts = {"annotations": 0}
    for table in (*_ANNOTATION_TABLES, waiting_annotations):
        own = or_(table.c.user_id == user_row, table.c.sender == sender)
        counted = select(func.count()).select_from(table).where(own)
        counts["annotations"] += int(connection.execute(counted).scalar_one())
    for name, table, column in (
        ("accounts", users, users.c.id),
        ("api_keys", api_keys, api_keys.c.user_id),
        ("sessions", sessions, sessions.c.user_id),
    ):
        counted = select(func.count()).select_from(table).where(column == user_row)
        counts[name] = int(connection.execute(counted).scalar_one())
    return counts


def delete_account(connection: Connection, user_row: int, public_id: str) -> dict[str, int]:
    """Delete an account with all that hangs on it, and names and addresses in the audit trail."""
    keys = connection.execute(
        select(api_keys.c.kind, api_keys.c.id).where(api_keys.c.user_id == user_row)
    ).all()
    opened = connection.execute(select(sessions.c.id).where(sessions.c.user_id == user_row)).all()
    there = connection.execute(select(users.c.id).where(users.c.id == user_row)).all()
    names = [
        public_id,
        *(global_id(_KEY[row.kind], row.id) for row in keys),
        *(global_id(_SESSION, row.id) for row in opened),
    ]
    records = sum(drop_personal_fields(connection, name) for name in names)
    # Failed sign-ins stand under a keyed hash of the account, known from successful ones.
    failed = select(known_addresses.c.account).where(known_addresses.c.user_id == user_row)
    connection.execute(
        delete_from(sign_in_failures).where(
            sign_in_failures.c.account.in_(failed.scalar_subquery())
        )
    )
    delete_user_row(connection, user_row)
    return {
        "accounts": len(there),
        "api_keys": len(keys),
        "sessions": len(opened),
        "audit_records": records,
    }


def created_users(connection: Connection) -> list[tuple[int, int]]:
    """Return row and time of every account but the system's."""
    found = connection.execute(
        select(users.c.id, users.c.created_at).where(users.c.is_system.is_(False))
    )
    return [(row[0], row[1]) for row in found]


# --- a person in traces --------------------------------------------------------------------


def newest_span_row(connection: Connection) -> int:
    """Return the newest row of spans, 0 when there is none."""
    return int(connection.execute(select(func.coalesce(func.max(spans.c.id), 0))).scalar_one())


def _names(subject: Subject, dialect: str) -> ColumnElement[bool]:
    return or_(*(has_attribute(match, dialect) for match in subject.matches()))


def traces_naming(
    connection: Connection, subject: Subject, after_row: int, until_row: int
) -> list[int]:
    """Return the traces that hold a span of a person among rows of spans."""
    found = connection.execute(
        select(spans.c.trace_row)
        .where(spans.c.id > after_row, spans.c.id <= until_row)
        .where(_names(subject, connection.dialect.name))
        .distinct()
    )
    return sorted(found.scalars())


def traces_in_sessions(connection: Connection, subject: Subject) -> list[int]:
    """Return the traces of the sessions that a person is named by."""
    if subject.attribute != SESSION_KEY:
        return []
    named = [str(value) for value in subject.values()]
    found = connection.execute(
        select(traces.c.id)
        .join(trace_sessions, trace_sessions.c.id == traces.c.session_id)
        .where(trace_sessions.c.session_id.in_(named))
    )
    return sorted(found.scalars())


class TraceSize(NamedTuple):
    """A trace and how many spans it holds."""

    row_id: int
    span_count: int


def sizes_of(
    connection: Connection, trace_rows: Sequence[int]
) -> tuple[list[TraceSize], list[int]]:
    """Return those that no hold keeps with their sizes, and the rows of the others."""
    free: list[TraceSize] = []
    held: list[int] = []
    for some in parts_of(trace_rows):
        given = traces.c.id.in_(some)
        sizes = select(traces.c.id, traces.c.span_count).where(given, not_held())
        free += [TraceSize(*row) for row in connection.execute(sizes)]
        kept = select(traces.c.id).where(given, not_(not_held()))
        held += connection.execute(kept).scalars().all()
    return free, held


def erase_traces(connection: Connection, trace_rows: Sequence[int]) -> dict[str, int]:
    """Delete traces with all that was said of them, also what still waits for its target."""
    given = traces.c.id.in_(trace_rows)
    trace_ids = connection.execute(select(traces.c.trace_id).where(given)).scalars().all()
    in_them = spans.c.trace_row.in_(trace_rows)
    span_ids = connection.execute(select(spans.c.span_id).where(in_them)).scalars().all()
    named = [one.hex() for one in (*trace_ids, *span_ids)]
    annotations = count_annotations(connection, trace_rows)
    annotations += _delete_waiting(connection, named)
    removed = remove_traces(connection, trace_rows)
    return {
        "traces": removed.traces,
        "spans": len(span_ids),
        "sessions": removed.sessions,
        "annotations": annotations,
    }


def count_annotations(connection: Connection, trace_rows: Sequence[int]) -> int:
    """Count what was said of traces, of their spans, and of sessions that hold no other trace."""
    in_them = select(spans.c.id).where(spans.c.trace_row.in_(trace_rows)).scalar_subquery()
    session_row, given = traces.c.session_id, traces.c.id.in_(trace_rows)
    theirs = select(session_row).where(given, session_row.is_not(None)).scalar_subquery()
    others = select(session_row).where(session_row.in_(theirs), not_(given))
    shared = others.scalar_subquery()
    of_session = session_annotations.c.session_row
    counted = 0
    for table, of_traces in (
        (span_annotations, span_annotations.c.span_row.in_(in_them)),
        (document_annotations, document_annotations.c.span_row.in_(in_them)),
        (trace_annotations, trace_annotations.c.trace_row.in_(trace_rows)),
        (
            session_annotations,
            and_(
                of_session.in_(theirs.scalar_subquery()),
                of_session.not_in(shared.scalar_subquery()),
            ),
        ),
    ):
        statement = select(func.count()).select_from(table).where(of_traces)
        counted += int(connection.execute(statement).scalar_one())
    return counted


def _delete_waiting(connection: Connection, targets: Sequence[str]) -> int:
    gone = 0
    for some in parts_of(targets):
        given = waiting_annotations.c.target.in_(some)
        gone += connection.execute(delete_from(waiting_annotations).where(given)).rowcount
    return gone


def delete_waiting_for_session(connection: Connection, subject: Subject) -> int:
    """Delete what waits for a session that a person is named by."""
    if subject.attribute != SESSION_KEY:
        return 0
    return _delete_waiting(connection, [str(value) for value in subject.values()])


def spans_between(
    connection: Connection, after_row: int, until_row: int
) -> list[tuple[int, bytes]]:
    """Return trace row and attributes of the spans among rows, in order."""
    found = connection.execute(
        select(spans.c.trace_row, spans.c.attributes)
        .where(spans.c.id > after_row, spans.c.id <= until_row)
        .order_by(spans.c.id)
    )
    return [(row[0], row[1]) for row in found]


def sessions_after(connection: Connection, after_row: int, limit: int) -> list[tuple[int, str]]:
    """Return row and id of sessions, in order of their rows."""
    found = connection.execute(
        select(trace_sessions.c.id, trace_sessions.c.session_id)
        .where(trace_sessions.c.id > after_row)
        .order_by(trace_sessions.c.id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in found]


def traces_of_session_rows(connection: Connection, session_rows: Sequence[int]) -> list[int]:
    """Return the traces of sessions."""
    found = connection.execute(select(traces.c.id).where(traces.c.session_id.in_(session_rows)))
    return sorted(found.scalars())


# --- what was carried out ------------------------------------------------------------------


def applied_entries(connection: Connection) -> frozenset[str]:
    """Return the entries of the ledger that this database has carried out."""
    return frozenset(connection.execute(select(applied_erasures.c.entry_id)).scalars())


def note_applied(connection: Connection, entry_id: str, now: int) -> None:
    """Remember that an entry of the ledger was carried out here."""
    insert_unless_present(connection, applied_erasures, [{"entry_id": entry_id, "applied_at": now}])


def is_mentioned(connection: Connection, public_id: str) -> bool:
    """Whether the audit trail still names somebody whose account is gone."""
    events = audit_events.c
    named = and_(events.target_id == public_id, events.personal.not_like('%"target_name":""%'))
    statement = select(events.sequence).where(
        or_(events.actor_id == public_id, named), events.personal.is_not(None)
    )
    return connection.execute(statement.limit(1)).first() is not None
