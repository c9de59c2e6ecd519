"""Moving traces to another project, with their spans, annotations and sessions.

A session whose traces all move goes along as it is. Otherwise the moved traces belong to the
session of the same id in the other project, which is made when there is none.

Source: data-plane contract, section 7 (transfer).
"""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from bennu.kernel.errors import ConflictError
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
from bennu.traces.spans.session_ranges import lock_with_sessions, sessions_of_traces, tidy_sessions


class TakenIdsError(ConflictError):
    """The other project holds a trace or a span of the same id already; nothing was moved."""


def move_traces(connection: Connection, trace_rows: Collection[int], to_project_row: int) -> None:
    """Move traces, all of one project, into another one.

    Raises:
        TakenIdsError: the other project holds one of their trace or span ids.
    """
    in_order = sorted(trace_rows)
    try:
        for some in parts_of(in_order):
            _move_part(connection, some, to_project_row)
    except IntegrityError as error:
        raise TakenIdsError(
            "The destination holds a trace or a span of the same id already"
        ) from error


def _move_part(connection: Connection, trace_rows: Sequence[int], to_project_row: int) -> None:
    given = traces.c.id.in_(trace_rows)
    of_trace = spans.c.trace_row.in_(trace_rows)
    to_project = {"project_id": to_project_row}
    session_rows = lock_with_sessions(connection, trace_rows)
    for session_row in session_rows:
        _move_session(connection, session_row, given, to_project_row)
    connection.execute(update(traces).where(given).values(to_project))
    connection.execute(update(spans).where(of_trace).values(to_project))
    connection.execute(
        update(trace_annotations)
        .where(trace_annotations.c.trace_row.in_(trace_rows))
        .values(to_project)
    )
    own_spans = select(spans.c.id).where(of_trace)
    for table in (span_annotations, document_annotations):
        connection.execute(update(table).where(table.c.span_row.in_(own_spans)).values(to_project))
    tidy_sessions(connection, {*session_rows, *sessions_of_traces(connection, trace_rows)})


def _move_session(
    connection: Connection, session_row: int, given: ColumnElement[bool], to_project_row: int
) -> None:
    session = connection.execute(
        select(trace_sessions).where(trace_sessions.c.id == session_row)
    ).one()
    own = traces.c.session_id == session_row
    stays = connection.execute(select(traces.c.id).where(own, ~given).limit(1)).first() is not None
    target = connection.execute(
        select(trace_sessions.c.id).where(
            trace_sessions.c.session_id == session.session_id,
            trace_sessions.c.project_id == to_project_row,
        )
    ).scalar_one_or_none()
    if target is None and not stays:
        to_project = {"project_id": to_project_row}
        is_it = trace_sessions.c.id == session_row
        connection.execute(update(trace_sessions).where(is_it).values(to_project))
        about_it = session_annotations.c.session_row == session_row
        connection.execute(update(session_annotations).where(about_it).values(to_project))
        return
    if target is None:
        made = insert(trace_sessions).values(
            project_id=to_project_row,
            session_id=session.session_id,
            start_ns=session.start_ns,
            end_ns=session.end_ns,
        )
        target = connection.execute(made.returning(trace_sessions.c.id)).scalar_one()
    connection.execute(update(traces).where(own, given).values(session_id=target))
    if not stays:
        _move_session_annotations(connection, session_row, target, to_project_row)


def _move_session_annotations(
    connection: Connection, session_row: int, target: int, to_project_row: int
) -> None:
    """Give what was said about a session that ends to the one it is merged into.

    Where both hold an annotation of the same name and identifier, the one there stays.
    """
    there = session_annotations.alias("there")
    same = exists().where(
        there.c.session_row == target,
        there.c.name == session_annotations.c.name,
        there.c.identifier == session_annotations.c.identifier,
    )
    connection.execute(
        update(session_annotations)
        .where(session_annotations.c.session_row == session_row, ~same)
        .values(session_row=target, project_id=to_project_row)
    )
