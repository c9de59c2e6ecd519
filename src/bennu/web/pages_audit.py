"""Settings, Audit log: filter, look at details, export, and check the chain.

Spec: lines 252-260.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName, Outcome
from bennu.audit.query import AuditFilter
from bennu.audit.reading import AuditReading
from bennu.httpio.request import caller_of
from bennu.httpio.route import Route
from bennu.kernel.clock import to_microseconds
from bennu.web.client_names import client_name
from bennu.web.pages import Pages

_PATH: Final = "/settings/audit"
_ROWS_A_PAGE: Final = 50
_LONGEST_NUMBER: Final = 18


@dataclass(frozen=True, slots=True)
class _Asked:
    """The filter form: texts as typed, and what is wrong with them."""

    texts: dict[str, str]
    problems: dict[str, str]
    wanted: AuditFilter


class _AuditPages:
    def __init__(self, pages: Pages, reading: AuditReading) -> None:
        self._pages, self._reading = pages, reading

    async def listing(self, request: Request) -> Response:
        """Records that match the filter, the newest first."""
        caller, asked = caller_of(request), _asked(request)
        beyond = _number(request.query_params.get("beyond", ""))
        page = await self._reading.read_page(caller, asked.wanted, beyond, _ROWS_A_PAGE)
        finding = None
        if "verify" in request.query_params:
            finding = await self._reading.verify(caller)
        return self._pages.show(
            request,
            "audit.html",
            records=[_shown(record) for record in page.records],
            beyond=page.beyond,
            asked=asked,
            events=tuple(EventName),
            outcomes=tuple(Outcome),
            finding=finding,
            errors=asked.problems,
        )


def _asked(request: Request) -> _Asked:
    names = ("event", "outcome", "actor_id", "target_id", "from", "until")
    texts = {name: request.query_params.get(name, "").strip() for name in names}
    problems: dict[str, str] = {}
    for name, allowed in (("event", set(EventName)), ("outcome", set(Outcome))):
        if texts[name] and texts[name] not in {str(word) for word in allowed}:
            problems[name] = "Choose one of the list"
            texts[name] = ""
    days: dict[str, date | None] = {}
    for name in ("from", "until"):
        days[name] = None
        if texts[name]:
            try:
                days[name] = date.fromisoformat(texts[name])
            except ValueError:
                problems[name] = "Input should be a day such as 2027-01-31"
    wanted = AuditFilter(
        event=texts["event"] or None,
        outcome=texts["outcome"] or None,
        actor_id=texts["actor_id"] or None,
        target_id=texts["target_id"] or None,
        start_at=_start_of(days["from"]),
        end_at=_start_of(days["until"], days_later=1),
    )
    return _Asked(texts, problems, wanted)


def _start_of(day: date | None, days_later: int = 0) -> int | None:
    if day is None or day.year >= date.max.year:
        return None
    start = datetime.combine(day + timedelta(days=days_later), time(), UTC)
    return to_microseconds(start)


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_number else None


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    moment = datetime.fromisoformat(record["time_utc"])
    changes = {name: record[name] for name in ("before", "after") if record[name] is not None}
    return {
        **record,
        "time_at": to_microseconds(moment),
        "client": client_name(record["user_agent"]) if record["user_agent"] else "",
        "changes": json.dumps(changes, indent=2, ensure_ascii=False) if changes else "",
    }


def audit_page_routes(pages: Pages, reading: AuditReading) -> tuple[Route, ...]:
    """Return the route of the page of the audit trail."""
    of = _AuditPages(pages, reading)
    route = Route(
        method="GET",
        path=_PATH,
        handler=of.listing,
        permission=Permission.AUDIT_READ,
        summary="The page of the audit trail",
    )
    return (pages.as_page(route),)
