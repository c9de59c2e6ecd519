"""Rows of legal holds.

Spec: lines 262-264.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, insert, select

from bennu.storage.schema import legal_holds, trace_sessions, traces
from bennu.traces.projects.held import HoldKind


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold.

    Args:
        row_id: its row; 0 before it is stored.
        kind: of what is held.
        target_row: row of what is held.
        project_row: of the project that it lies in.
        target: the name or id that its sender gave.
        reason: why, for people.
        set_by: public id of who set it.
        created_at: microseconds since 1970 UTC.
    """

    row_id: int
    kind: HoldKind
    target_row: int
    project_row: int
    target: str
    reason: str
    set_by: str
    created_at: int


def _hold(row: RowMapping) -> Hold:
    return Hold(
        row["id"],
        HoldKind(row["kind"]),
        row["target_row"],
        row["project_id"],
        row["target"],
        row["reason"],
        row["set_by"],
        row["created_at"],
    )


def all_holds(connection: Connection) -> list[Hold]:
    """Return every hold, the newest first."""
    statement = select(legal_holds).order_by(legal_holds.c.id.desc())
    return [_hold(row) for row in connection.execute(statement).mappings()]


def find_hold(connection: Connection, row_id: int) -> Hold | None:
    """Return one hold, or None."""
    row = (
        connection.execute(select(legal_holds).where(legal_holds.c.id == row_id)).mappings().first()
    )
    return None if row is None else _hold(row)


def hold_on(connection: Connection, kind: HoldKind, target_row: int) -> Hold | None:
    """Return the hold on exactly this thing, or None."""
    statement = select(legal_holds).where(
        legal_holds.c.kind == kind, legal_holds.c.target_row == target_row
    )
    row = connection.execute(statement).mappings().first()
    return None if row is None else _hold(row)


def insert_hold(connection: Connection, hold: Hold) -> int:
    """Store a hold; return its row."""
    values = {
        "kind": str(hold.kind),
        "target_row": hold.target_row,
        "project_id": hold.project_row,
        "target": hold.target,
        "reason": hold.reason,
        "set_by": hold.set_by,
        "created_at": hold.created_at,
    }
    made = connection.execute(insert(legal_holds).values(**values).returning(legal_holds.c.id))
    return int(made.scalar_one())


def delete_hold(connection: Connection, row_id: int) -> None:
    """Release a hold."""
    connection.execute(delete(legal_holds).where(legal_holds.c.id == row_id))


def session_row_named(connection: Connection, project_row: int, session_id: str) -> int | None:
    """Return the row of a session of a project, or None."""
    found: int | None = connection.execute(
        select(trace_sessions.c.id).where(
            trace_sessions.c.session_id == session_id, trace_sessions.c.project_id == project_row
        )
    ).scalar_one_or_none()
    return found


def trace_row_named(connection: Connection, project_row: int, trace_id: bytes) -> int | None:
    """Return the row of a trace of a project, or None."""
    found: int | None = connection.execute(
        select(traces.c.id).where(traces.c.trace_id == trace_id, traces.c.project_id == project_row)
    ).scalar_one_or_none()
    return found
