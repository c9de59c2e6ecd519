"""Sessions follow their traces: the time they span, and whether they are there at all.

A session exists as long as a trace belongs to it. When traces leave, because they are deleted or
moved to another project, its range shrinks, and the last one takes it along.

Source: data-plane contract, section 4.
"""

from collections.abc import Collection, Sequence

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


def lock_with_sessions(connection: Connection, trace_rows: Sequence[int]) -> list[int]:
    """Make ingest wait that would change some traces or give them a session.

    Sessions are locked before traces, as ingest does. A session that a trace gains until it is
    locked itself is seen after that, so that none is forgotten.

    Returns:
        The sessions of these traces; they gain no other in this transaction.
    """
    before = sessions_of_traces(connection, trace_rows)
    lock_sessions(connection, before)
    given = traces.c.id.in_(trace_rows)
    connection.execute(
        select(traces.c.id).where(given).order_by(traces.c.id).with_for_update()
    ).all()
    found = sessions_of_traces(connection, trace_rows)
    lock_sessions(connection, set(found).difference(before))
    return found


def sessions_of_traces(connection: Connection, trace_rows: Sequence[int]) -> list[int]:
    """Return the rows of the sessions that some traces belong to, in order."""
    of_session = traces.c.session_id
    given = traces.c.id.in_(trace_rows)
    statement = select(of_session).where(given, of_session.is_not(None)).distinct()
    return sorted(connection.execute(statement).scalars())


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
