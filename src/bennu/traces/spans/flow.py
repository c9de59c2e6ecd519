"""What can be done with spans over REST: list, post, delete.

Source: data-plane contract, section 6. Decisions 5, 11.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from bennu.access import Caller, Permission, require
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.kernel.errors import ConflictError, DeniedError, MalformedError, NotFoundError
from bennu.kernel.ids import global_id, row_id_of
from bennu.storage.database import Connection, Database
from bennu.storage.deadline import ending_in_time
from bennu.traces.projects.flow import visible_project
from bennu.traces.projects.held import refuse_held_traces
from bennu.traces.projects.store import KIND as PROJECT_KIND
from bennu.traces.projects.store import check_project_name, find_project
from bennu.traces.spans.cursors import Position
from bennu.traces.spans.filters import (
    SPAN_KIND,
    SpanFilter,
    SpanOrder,
    cursor_at,
    position_of_cursor,
)
from bennu.traces.spans.model import DecodedExport, ProjectSpans, Span
from bennu.traces.spans.query import rows_of_spans, rows_within_bytes, spans_in_rows
from bennu.traces.spans.removal import SpanPlace, places_of_span, remove_span
from bennu.traces.spans.span_json import InvalidSpan, StoredSpan, spans_from_json
from bennu.traces.spans.store import KnownSpansError

_SPAN_ID_DIGITS: Final = 16
#: Of the payloads of a page; one that would hold more is shorter than asked for.
_MOST_PAGE_BYTES: Final = 64 * 1024 * 1024


class Room(Protocol):
    """What one request takes up in the queue of the ingest, from its first byte to its answer."""

    def grow(self, byte_count: int) -> None:
        """Count further bytes.

        Raises:
            UnavailableError: there is no room.
        """

    async def take_new_spans(self, decoded: DecodedExport, caller: Caller) -> DecodedExport:
        """Store spans on condition that none is known.

        Raises:
            KnownSpansError: some are known; nothing was stored.
        """


@dataclass(frozen=True, slots=True)
class SpanPage:
    """Some spans and where the next page starts, or None after the last."""

    spans: tuple[StoredSpan, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class SpanPageQuery:
    """One page of a list: which spans, in which order, from where, how many."""

    wanted: SpanFilter
    order: SpanOrder
    cursor: str | None
    limit: int


class UnusableSpansError(MalformedError):
    """Posted spans are known already or cannot be used; the text is JSON that names them."""


class Spans:
    """The use cases around spans.

    Args:
        database: where they are.
        audit: takes the record of each deletion.
    """

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def page_of_project(self, caller: Caller, project: str, query: SpanPageQuery) -> SpanPage:
        """Return one page of the spans of a project; large spans make it shorter than asked for.

        Raises:
            NotFoundError: there is no such project that the caller may see.
            InvalidError: the cursor is not one.
        """
        require(caller.principal, Permission.TRACES_READ)
        order = query.order
        start = None if query.cursor is None else position_of_cursor(query.cursor, order)

        def work(connection: Connection) -> tuple[list[StoredSpan], int]:
            found = visible_project(connection, caller, project, Permission.TRACES_READ)
            limit = query.limit + 1
            with ending_in_time(connection, self._database.clock):
                rows = rows_of_spans(connection, found.row_id, query.wanted, order, start, limit)
                shown = len(rows_within_bytes(connection, rows[: query.limit], _MOST_PAGE_BYTES))
                return spans_in_rows(connection, rows[: shown + 1]), shown

        found, shown = await self._database.read(work)
        following = None
        if len(found) > shown:
            first = found[shown]
            following = cursor_at(Position(first.row_id, first.start_ns), order)
        return SpanPage(tuple(found[:shown]), following)

    async def post_spans(
        self, caller: Caller, project: str, items: Sequence[object], room: Room
    ) -> int:
        """Store posted spans, all or none; return how many.

        Args:
            caller: who posts.
            project: its name or id.
            items: the spans as they came.
            room: of the request that holds them.

        Raises:
            SchemaError: a field is missing or wrong.
            UnusableSpansError: some are known already or cannot be used; nothing was stored.
            NotFoundError: the project is named by an id that does not exist.
            DeniedError: the caller may not write to that project.
            UnavailableError: the queue is full or the database is away.
        """
        require(caller.principal, Permission.TRACES_INGEST)
        # Many spans take long to read: in a thread, so that others are answered meanwhile.
        usable, invalid = await asyncio.to_thread(spans_from_json, items)
        name = await self._name_of_target(caller, project)
        known: tuple[Span, ...] = ()
        if not invalid:
            export = DecodedExport((ProjectSpans(name, usable),), (), len(usable))
            try:
                await room.take_new_spans(export, caller)
            except KnownSpansError as error:
                known = error.spans
            else:
                return len(usable)
        raise UnusableSpansError(_refusal_text(len(items), known, invalid))

    async def _name_of_target(self, caller: Caller, identifier: str) -> str:
        """Return the name of the project to write to; one that is only named need not exist."""
        found = await self._database.read(
            lambda connection: find_project(connection, identifier), tiny=True
        )
        by_id = row_id_of(identifier, PROJECT_KIND) is not None
        if found is not None and caller.principal.may_see_project(found.row_id):
            return found.name
        if by_id:
            raise NotFoundError(f"Project with ID {identifier} not found")
        if caller.principal.project_ids is not None:
            raise DeniedError("This key may not write to that project")
        check_project_name(identifier)
        return identifier

    async def delete_span(self, caller: Caller, identifier: str) -> None:
        """Delete one span, by its public id or by the id that its sender gave; children stay.

        Raises:
            NotFoundError: there is none in the projects that the caller may see.
            ConflictError: the sender's id stands in several of them.
        """
        require(caller.principal, Permission.TRACES_WRITE)
        row_id = row_id_of(identifier, SPAN_KIND)
        span_id = None if row_id is not None else _span_id_of(identifier)

        def work(connection: Connection) -> None:
            places: list[SpanPlace] = []
            if row_id is not None or span_id is not None:
                places = places_of_span(
                    connection,
                    row_id=row_id,
                    span_id=span_id,
                    visible_project_rows=caller.principal.project_ids,
                )
            if len(places) > 1:
                raise ConflictError("Several projects hold this span id; name the span by its id")
            refuse_held_traces(connection, [place.trace_row for place in places])
            if not places or not remove_span(connection, places[0]):
                raise NotFoundError(f"Span with span_id '{identifier}' not found")
            event = AuditEvent(
                EventName.SPAN_DELETED,
                Outcome.SUCCEEDED,
                target=Target(kind="span", id=global_id(SPAN_KIND, places[0].row_id)),
                before={
                    "span_id": places[0].span_id.hex(),
                    "project_id": global_id(PROJECT_KIND, places[0].project_row),
                },
            )
            self._audit.record(connection, event, caller)

        await self._database.write(work)


def _span_id_of(identifier: str) -> bytes | None:
    if len(identifier) != _SPAN_ID_DIGITS:
        return None
    try:
        return bytes.fromhex(identifier)
    except ValueError:
        return None


def _refusal_text(received: int, known: Sequence[Span], invalid: Sequence[InvalidSpan]) -> str:
    """Write what the official client turns into its SpanCreationError."""
    refusal = {
        "error": "Request contains invalid or duplicate spans",
        "total_received": received,
        "total_queued": 0,
        "total_duplicates": len(known),
        "total_invalid": len(invalid),
        "duplicate_spans": [
            {"span_id": span.span_id.hex(), "trace_id": span.trace_id.hex()} for span in known
        ],
        "invalid_spans": [
            {"span_id": span.span_id, "trace_id": span.trace_id, "error": span.error}
            for span in invalid
        ],
    }
    return msgspec.json.encode(refusal).decode()
