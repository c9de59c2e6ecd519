"""Sessions follow their traces: the time they span, and whether they are there at all.

A session exists as long as a trace belongs to it. When traces leave, because they are deleted or
moved to another project, its range shrinks, and the last one takes it along.

Source: data-plane contract, section 4.
"""

from collections.abc import Collection

from sqlalchemy import Connection, delete, exists, func, select, update

from bennu.storage.parts import parts_of
from bennu.storage.schema import trace_sessions, traces


def lock_sessions(connection: Connection, session_rows: Collection[int]) -> None:
    """Make ingest wait that would put a trace into one of these sessions."""
    for part in parts_of(sorted(session_rows)):
        connection.execute(
            select(trace_sessions.c.id)
            .where(trace_sessions.c.id.in_(part))
            .order_by(trace_sessions.c.id)
            .with_for_update()
        ).all()


def tidy_sessions(connection: Connection, session_rows: Collection[int]) -> int:
    """Delete those of the sessions that hold no trace any more; fit the others to their traces.

    Args:
        connection: of a transaction that has locked them before it took traces away.
        session_rows: sessions that lost traces; ones that are gone already do not matter.

    Returns:
        How many were deleted.
    """
    own = traces.c.session_id == trace_sessions.c.id
    deleted = 0
    for part in parts_of(sorted(session_rows)):
        given = trace_sessions.c.id.in_(part)
        gone = (
            delete(trace_sessions).where(given, ~exists().where(own)).returning(trace_sessions.c.id)
        )
        deleted += len(connection.execute(gone).all())
        first = select(func.min(traces.c.start_ns)).where(own).scalar_subquery()
        last = select(func.max(traces.c.end_ns)).where(own).scalar_subquery()
        connection.execute(update(trace_sessions).where(given).values(start_ns=first, end_ns=last))
    return deleted
