"""``GET /v1/audit_events``: the audit trail for people and for collectors of logs.

Spec: lines 256-260.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bennu.access import Permission
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.log import AuditLog
from bennu.audit.query import MOST_RECORDS, AuditFilter, read_records, record_line
from bennu.audit.reading import refuse_restricted
from bennu.httpio.request import caller_of, query_values
from bennu.httpio.respond import json_answer
from bennu.httpio.route import Query, Route
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import global_id, row_id_of
from bennu.storage.database import Database

NDJSON: Final = "application/x-ndjson"
_CURSOR: Final = "AuditEvent"
_DEFAULT_LIMIT: Final = 100
_LIST_QUERY: Final = (
    Query("event", allowed=tuple(EventName), meaning="name of the event"),
    Query("actor_id", meaning="id of who did it"),
    Query("target_id", meaning="id of what it was done to"),
    Query("outcome", allowed=tuple(Outcome), meaning="how it ended"),
    Query("start_time", kind="datetime", meaning="recorded then or later"),
    Query("end_time", kind="datetime", meaning="recorded before"),
    Query("order", allowed=("asc", "desc"), meaning="desc by default: newest first"),
    Query("cursor", meaning="next_cursor of the page before"),
    Query(
        "limit",
        kind="integer",
        minimum=1,
        maximum=MOST_RECORDS,
        meaning="records per page, 100 by default; as NDJSON all by default",
    ),
)


class AuditParty(msgspec.Struct):
    """Who did something, or what it was done to."""

    kind: str
    id: str
    name: str


class AuditCredential(msgspec.Struct):
    """With what the actor proved who it is."""

    kind: str
    id: str


class AuditEventShown(msgspec.Struct):
    """One record of the trail."""

    id: str
    sequence: int
    time_utc: str
    event: str
    outcome: str
    reason: str
    actor: AuditParty
    credential: AuditCredential
    address: str
    user_agent: str
    request_id: str
    target: AuditParty
    before: Any
    after: Any
    count: int


class AuditEventListAnswer(msgspec.Struct):
    """One page of the trail."""

    data: list[AuditEventShown]
    next_cursor: str | None


class _AuditHandlers:
    """Decode, read, encode."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database, self._audit = database, audit

    async def listing(self, request: Request) -> Response:
        """Records that match; that they were read is recorded first."""
        caller = caller_of(request)
        refuse_restricted(caller.principal)
        values = query_values(request, _LIST_QUERY)
        wanted, beyond = _filter_of(values), _beyond(values["cursor"])
        limit = values["limit"]
        event = AuditEvent(EventName.AUDIT_READ, target=Target("audit"))
        await self._audit.note(event, caller)
        if NDJSON in request.headers.get("accept", "").lower():
            most = limit if isinstance(limit, int) else None
            return await self._stream(wanted, beyond, most)
        return await self._page(wanted, beyond, limit if isinstance(limit, int) else _DEFAULT_LIMIT)

    async def _page(self, wanted: AuditFilter, beyond: int | None, limit: int) -> Response:
        read = partial(read_records, wanted=wanted, limit=limit + 1, beyond=beyond)
        found = await self._database.read(read)
        shown = found[:limit]
        following = global_id(_CURSOR, shown[-1]["sequence"]) if len(found) > limit else None
        return json_answer({"data": shown, "next_cursor": following})

    async def _stream(self, wanted: AuditFilter, beyond: int | None, most: int | None) -> Response:
        """Send line by line; the first page is read before, so that a refusal is still one."""
        read = partial(read_records, wanted=wanted, limit=most or MOST_RECORDS)
        first = await self._database.read(partial(read, beyond=beyond))

        async def lines() -> AsyncIterator[bytes]:
            page = first
            while page:
                yield b"".join(record_line(record) for record in page)
                if most is not None or len(page) < MOST_RECORDS:
                    return
                page = await self._database.read(partial(read, beyond=page[-1]["sequence"]))

        return StreamingResponse(lines(), media_type=NDJSON)


def audit_routes(database: Database, audit: AuditLog) -> tuple[Route, ...]:
    """Return the route of the audit trail."""
    return (
        Route(
            method="GET",
            path="/v1/audit_events",
            handler=_AuditHandlers(database, audit).listing,
            permission=Permission.AUDIT_READ,
            summary="Records of the audit trail, newest first; NDJSON on demand",
            response=AuditEventListAnswer,
            query=_LIST_QUERY,
            events=(EventName.AUDIT_READ,),
        ),
    )


def _filter_of(values: Mapping[str, object]) -> AuditFilter:
    return AuditFilter(
        event=_text(values["event"]),
        outcome=_text(values["outcome"]),
        actor_id=_text(values["actor_id"]),
        target_id=_text(values["target_id"]),
        start_at=_microseconds(values["start_time"]),
        end_at=_microseconds(values["end_time"]),
        is_oldest_first=values["order"] == "asc",
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _microseconds(value: object) -> int | None:
    return to_microseconds(value) if isinstance(value, datetime) else None


def _beyond(cursor: object) -> int | None:
    """Return the sequence that a cursor names.

    Raises:
        InvalidError: it is no cursor of this list.
    """
    if cursor is None:
        return None
    sequence = row_id_of(str(cursor), _CURSOR)
    if sequence is None:
        raise InvalidError(f"Invalid cursor format: {str(cursor)[:100]}")
    return sequence
