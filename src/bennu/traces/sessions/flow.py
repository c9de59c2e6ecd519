"""What can be done with sessions over REST: read, list, delete. Every deletion is recorded.

Source: data-plane contract, section 8. Decision 11.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.kernel.errors import ConflictError, InvalidError, NotFoundError
from bennu.kernel.ids import global_id, row_id_of
from bennu.storage.database import Connection, Database
from bennu.storage.deadline import ending_in_time
from bennu.traces.expressions.tree import Condition
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.held import refuse_held_traces
from bennu.traces.projects.store import KIND as PROJECT_KIND
from bennu.traces.sessions.query import (
    SessionSlice,
    StoredSession,
    TraceOfSession,
    find_sessions,
    page_of_sessions,
    traces_of_sessions,
)
from bennu.traces.spans.cursors import row_of_id_cursor
from bennu.traces.traces.model import SESSION_KIND
from bennu.traces.traces.removal import remove_traces

#: So many sessions may be deleted in one transaction.
MOST_DELETED: Final = 1_000


@dataclass(frozen=True, slots=True)
class WholeSession:
    """A session with its traces, by start."""

    session: StoredSession
    traces: tuple[TraceOfSession, ...]


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some sessions and where the next page starts, or None after the last."""

    sessions: tuple[WholeSession, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class SessionPageQuery:
    """One page of a list: in which order, from where, how many, which."""

    ascending: bool
    cursor: str | None
    limit: int
    condition: Condition | None = None


class TraceSessions:
    """The use cases around sessions."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def one_session(self, caller: Caller, identifier: str) -> WholeSession:
        """Return one session, by its public id or by the id that its sender gave.

        Raises:
            NotFoundError: there is none in the projects that the caller may see.
            ConflictError: the sender's id stands in several of them.
        """
        require(caller.principal, Permission.TRACES_READ)

        def work(connection: Connection) -> WholeSession:
            found = _sessions_named(connection, caller, [identifier])
            if not found:
                raise _not_found(identifier)
            return _whole(connection, found)[0]

        return await self._database.read(work)

    async def page_of_project(
        self, caller: Caller, project: str, query: SessionPageQuery
    ) -> SessionPage:
        """Return one page of the sessions of a project.

        Raises:
            NotFoundError: there is no such project that the caller may see.
            InvalidError: the cursor is not one.
        """
        require(caller.principal, Permission.TRACES_READ)
        start = None if query.cursor is None else row_of_id_cursor(query.cursor, SESSION_KIND)

        def work(connection: Connection) -> SessionPage:
            place = visible_project(connection, caller, project, Permission.TRACES_READ)
            wanted = SessionSlice(start, query.limit + 1, query.ascending, query.condition)
            with ending_in_time(connection, self._database.clock):
                found = page_of_sessions(connection, place.row_id, wanted)
            following = None
            if len(found) > query.limit:
                following = global_id(SESSION_KIND, found[query.limit].row_id)
            return SessionPage(tuple(_whole(connection, found[: query.limit])), following)

        return await self._database.read(work)

    async def delete_session(self, caller: Caller, identifier: str) -> None:
        """Delete one session with its traces.

        Raises:
            NotFoundError: there is none in the projects that the caller may see.
            ConflictError: the sender's id stands in several of them.
        """
        if await self._delete(caller, [identifier]) == 0:
            raise _not_found(identifier)

    async def delete_sessions(self, caller: Caller, identifiers: Sequence[str]) -> None:
        """Delete sessions with their traces, all or none; unknown ones do not matter.

        Raises:
            InvalidError: none is named, too many are, or public ids are mixed with session ids.
            ConflictError: a session id stands in several projects that the caller may see.
        """
        if not identifiers:
            raise InvalidError("session_identifiers must not be empty")
        if len(identifiers) > MOST_DELETED:
            raise InvalidError(f"At most {MOST_DELETED} sessions can be deleted at once")
        by_row = sum(row_id_of(text, SESSION_KIND) is not None for text in identifiers)
        if 0 < by_row < len(identifiers):
            raise InvalidError("session_identifiers must be either all ids or all session_ids")
        await self._delete(caller, identifiers)

    async def _delete(self, caller: Caller, identifiers: Sequence[str]) -> int:
        require(caller.principal, Permission.TRACES_WRITE)

        def work(connection: Connection) -> int:
            found = _sessions_named(connection, caller, identifiers)
            events: list[AuditEvent] = []
            for session in found:
                of_session = traces_of_sessions(connection, [session.row_id])[session.row_id]
                rows = [trace.row_id for trace in of_session]
                refuse_held_traces(connection, rows)
                removed = remove_traces(connection, rows)
                events.append(_deleted(session, removed.traces, removed.spans))
            for event in events:
                self._audit.record(connection, event, caller)
            return len(found)

        return await self._database.write(work)


def _sessions_named(
    connection: Connection, caller: Caller, identifiers: Sequence[str]
) -> list[StoredSession]:
    """Return the sessions that are named, each once; unknown ones are left out.

    A public id that names a session is read as that alone. Senders choose session ids, and one
    that spells the public id of somebody else's session must not stand in its place.

    Raises:
        ConflictError: a session id stands in several projects that the caller may see.
    """
    visible = caller.principal.project_ids
    rows = {text: row_id_of(text, SESSION_KIND) for text in identifiers}
    by_row = find_sessions(
        connection,
        row_ids={row for row in rows.values() if row is not None},
        visible_project_rows=visible,
    )
    named = {session.row_id for session in by_row}
    by_id = find_sessions(
        connection,
        session_ids={t for t, row in rows.items() if row not in named and "\x00" not in t},
        visible_project_rows=visible,
    )
    for session_id, count in Counter(session.session_id for session in by_id).items():
        if count > 1:
            raise ConflictError(f"Several projects hold session {session_id}; name it by its id")
    return sorted({*by_row, *by_id})


def _whole(connection: Connection, sessions: Sequence[StoredSession]) -> list[WholeSession]:
    of_session = traces_of_sessions(connection, [session.row_id for session in sessions])
    return [WholeSession(session, tuple(of_session[session.row_id])) for session in sessions]


def _not_found(identifier: str) -> NotFoundError:
    return NotFoundError(f"Session with session_id {identifier[:200]} not found")


def _deleted(session: StoredSession, trace_count: int, span_count: int) -> AuditEvent:
    return AuditEvent(
        EventName.SESSION_DELETED,
        Outcome.SUCCEEDED,
        target=Target(kind="trace_session", id=global_id(SESSION_KIND, session.row_id)),
        before={"project_id": global_id(PROJECT_KIND, session.project_row)},
        after={"deleted": {"traces": trace_count, "spans": span_count}},
    )
