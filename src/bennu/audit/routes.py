"""``GET /v1/audit_events``: the audit trail for people and for collectors of logs.

Spec: lines 256-260.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bennu.access import Permission
from bennu.audit.events import EventName, Outcome
from bennu.audit.query import MOST_RECORDS, AuditFilter, record_line
from bennu.audit.reading import AuditReading, refuse_restricted
from bennu.httpio.request import caller_of, query_values
from bennu.httpio.respond import json_answer
from bennu.httpio.route import Query, Route
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import InvalidError
from bennu.kernel.ids import global_id, row_id_of

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

    def __init__(self, reading: AuditReading) -> None:
        self._reading = reading

    async def listing(self, request: Request) -> Response:
        """Records that match; that they were read is recorded first."""
        caller = caller_of(request)
        refuse_restricted(caller.principal)  # before what they ask for is looked at
        values = query_values(request, _LIST_QUERY)
        wanted, beyond = _filter_of(values), _beyond(values["cursor"])
        most = values["limit"] if isinstance(values["limit"], int) else None
        if NDJSON in request.headers.get("accept", "").lower():
            pages = await self._reading.read_pages(caller, wanted, beyond, most)
            return StreamingResponse(_lines(pages), media_type=NDJSON)
        page = await self._reading.read_page(caller, wanted, beyond, most or _DEFAULT_LIMIT)
        following = None if page.beyond is None else global_id(_CURSOR, page.beyond)
        return json_answer({"data": page.records, "next_cursor": following})


async def _lines(pages: AsyncIterator[Sequence[dict[str, Any]]]) -> AsyncIterator[bytes]:
    async for page in pages:
        yield b"".join(record_line(record) for record in page)


def audit_routes(reading: AuditReading) -> tuple[Route, ...]:
    """Return the route of the audit trail."""
    return (
        Route(
            method="GET",
            path="/v1/audit_events",
            handler=_AuditHandlers(reading).listing,
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
