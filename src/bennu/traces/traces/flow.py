"""What can be done with traces over REST: list, delete, transfer. Every change is recorded.

Source: data-plane contract, section 7. Decision 11.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.kernel.errors import ConflictError, InvalidError, NotFoundError
from bennu.kernel.ids import global_id, row_id_of
from bennu.storage.database import Connection, Database
from bennu.storage.deadline import ending_in_time
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.held import refuse_held_traces
from bennu.traces.projects.store import KIND as PROJECT_KIND
from bennu.traces.projects.store import Project
from bennu.traces.spans.cursors import Position, position_of_value_cursor, value_cursor
from bennu.traces.spans.model import ns_within_64_bits
from bennu.traces.traces.model import (
    TRACE_KIND,
    SpanOfTrace,
    StoredTrace,
    TraceFilter,
    TraceOrder,
    TracePlace,
)
from bennu.traces.traces.query import (
    page_of_traces,
    places_of_traces,
    rows_of_sessions,
    spans_of_traces,
)
from bennu.traces.traces.removal import Removed, oldest_traces_between, remove_traces
from bennu.traces.traces.transfer import move_traces

_TRACE_ID_DIGITS: Final = 32
#: Deleting a long time goes in transactions of this size, so that ingest gets its turn.
_DELETED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class TracePageQuery:
    """One page of a list: which traces, in which order, from where, how many.

    Args:
        wanted: all but the sessions.
        sessions: session ids or public ids; None for no such condition.
        order: of the list.
        cursor: of the page before, or None.
        limit: 1 or more.
        with_spans: whether the spans are wanted too.
    """

    wanted: TraceFilter
    sessions: tuple[str, ...] | None
    order: TraceOrder
    cursor: str | None
    limit: int
    with_spans: bool


@dataclass(frozen=True, slots=True)
class TracePage:
    """Some traces, their spans where they were asked for, and where the next page starts."""

    traces: tuple[StoredTrace, ...]
    spans: dict[int, list[SpanOfTrace]] | None
    next_cursor: str | None


class Traces:
    """The use cases around traces."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def page_of_project(
        self, caller: Caller, project: str, query: TracePageQuery
    ) -> TracePage:
        """Return one page of the traces of a project.

        Raises:
            NotFoundError: there is no such project that the caller may see.
            InvalidError: the cursor is not one.
        """
        require(caller.principal, Permission.TRACES_READ)
        start = None if query.cursor is None else position_of_value_cursor(query.cursor)

        def work(connection: Connection) -> TracePage:
            found = visible_project(connection, caller, project, Permission.TRACES_READ)
            with ending_in_time(connection, self._database.clock):
                return _page(connection, found.row_id, query, start)

        return await self._database.read(work)

    async def delete_trace(self, caller: Caller, identifier: str) -> None:
        """Delete one trace, by its public id or by the id that its sender gave.

        Raises:
            NotFoundError: there is none in the projects that the caller may see.
            ConflictError: the sender's id stands in several of them, or a legal hold keeps it.
        """
        require(caller.principal, Permission.TRACES_WRITE)

        def work(connection: Connection) -> None:
            (place,) = _places(connection, caller, [identifier])
            refuse_held_traces(connection, [place.row_id])
            removed = remove_traces(connection, [place.row_id])
            if not removed.traces:
                raise _not_found(identifier)
            event = AuditEvent(
                EventName.TRACE_DELETED,
                Outcome.SUCCEEDED,
                target=Target(kind="trace", id=global_id(TRACE_KIND, place.row_id)),
                before=_before(place),
            )
            self._audit.record(connection, event, caller)

        await self._database.write(work)

    async def delete_between(
        self, caller: Caller, project: str, from_ns: int, before_ns: int
    ) -> None:
        """Delete the traces of a project that started within a time, the oldest first.

        It goes in several transactions, each with its record; when one of them fails, those
        before it are done.

        Raises:
            NotFoundError: there is no such project that the caller may see.
            InvalidError: the time is empty.
            ConflictError: a legal hold keeps some of them.
        """
        require(caller.principal, Permission.TRACES_WRITE)
        if from_ns >= before_ns:
            raise InvalidError("start_time must be before end_time")
        first_ns, after_ns = ns_within_64_bits(from_ns), ns_within_64_bits(before_ns)

        def work(connection: Connection) -> bool:
            found = visible_project(connection, caller, project, Permission.TRACES_WRITE)
            rows = oldest_traces_between(
                connection, found.row_id, first_ns, after_ns, _DELETED_AT_ONCE
            )
            if rows:
                refuse_held_traces(connection, rows)
                removed = remove_traces(connection, rows)
                self._audit.record(connection, _deleted_many(found, removed), caller)
            return len(rows) == _DELETED_AT_ONCE

        while await self._database.write(work):
            pass

    async def transfer(
        self, caller: Caller, identifiers: Sequence[str], destination: str
    ) -> tuple[int, Project]:
        """Move traces, all of one project, into another; return how many, and that project.

        Raises:
            NotFoundError: a trace or the destination is none that the caller may see.
            InvalidError: the traces are of several projects.
            ConflictError: the destination holds one of the ids already, or a legal hold keeps
                a trace where it is.
        """
        require(caller.principal, Permission.TRACES_WRITE)

        def work(connection: Connection) -> tuple[int, Project]:
            to = visible_project(connection, caller, destination, Permission.TRACES_WRITE)
            places = _places(connection, caller, identifiers)
            sources = {place.project_row for place in places}
            if len(sources) > 1:
                raise InvalidError("All traces must be of one project")
            if to.row_id in sources:
                return 0, to
            refuse_held_traces(connection, [place.row_id for place in places])
            move_traces(connection, [place.row_id for place in places], to.row_id)
            for place in places:
                self._audit.record(connection, _transferred(place, to), caller)
            return len(places), to

        return await self._database.write(work)


def _page(
    connection: Connection, project_row: int, query: TracePageQuery, start: Position | None
) -> TracePage:
    wanted = query.wanted
    if query.sessions is not None:
        rows = rows_of_sessions(connection, project_row, query.sessions)
        wanted = replace(wanted, session_rows=tuple(rows))
    found = page_of_traces(connection, project_row, wanted, query.order, start, query.limit + 1)
    following = None
    if len(found) > query.limit:
        first = found[query.limit]
        value = first.latency_ns if query.order.by_latency else first.start_ns
        following = value_cursor(Position(first.row_id, value))
    shown = tuple(found[: query.limit])
    spans = None
    if query.with_spans:
        spans = spans_of_traces(connection, [trace.row_id for trace in shown])
    return TracePage(shown, spans, following)


def _places(
    connection: Connection, caller: Caller, identifiers: Collection[str]
) -> list[TracePlace]:
    """Find each trace that is named, once, among those that the caller may see.

    Raises:
        NotFoundError: one of them is not there.
        ConflictError: one of them stands in several projects.
    """
    rows = {text: row_id_of(text, TRACE_KIND) for text in identifiers}
    ids = {text: _trace_id_of(text) for text in identifiers}
    places = places_of_traces(
        connection,
        row_ids={row for row in rows.values() if row is not None},
        trace_ids={trace_id for trace_id in ids.values() if trace_id is not None},
        visible_project_rows=caller.principal.project_ids,
    )
    found: set[TracePlace] = set()
    for text in identifiers:
        named = {p for p in places if p.row_id == rows[text] or p.trace_id == ids[text]}
        if not named:
            raise _not_found(text)
        if len(named) > 1:
            raise ConflictError(f"Several projects hold trace {text}; name it by its id")
        found |= named
    return sorted(found)


def _not_found(identifier: str) -> NotFoundError:
    return NotFoundError(f"Trace with trace_id '{identifier[:200]}' not found")


def _trace_id_of(identifier: str) -> bytes | None:
    if len(identifier) != _TRACE_ID_DIGITS:
        return None
    try:
        return bytes.fromhex(identifier)
    except ValueError:
        return None


def _before(place: TracePlace) -> dict[str, object]:
    return {
        "trace_id": place.trace_id.hex(),
        "project_id": global_id(PROJECT_KIND, place.project_row),
    }


def _deleted_many(project: Project, removed: Removed) -> AuditEvent:
    return AuditEvent(
        EventName.TRACE_DELETED,
        Outcome.SUCCEEDED,
        target=Target(kind="project", id=project.public_id, name=project.name),
        after={"deleted": removed._asdict()},
    )


def _transferred(place: TracePlace, to: Project) -> AuditEvent:
    return AuditEvent(
        EventName.TRACE_TRANSFERRED,
        Outcome.SUCCEEDED,
        target=Target(kind="trace", id=global_id(TRACE_KIND, place.row_id)),
        before=_before(place),
        after={"project_id": to.public_id},
    )
