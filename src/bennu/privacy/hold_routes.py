"""``/v1/legal_holds``: decode, call the flow, encode.

Spec: lines 262-264.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Route
from bennu.kernel.ids import global_id
from bennu.privacy.holds import LEGAL_HOLD, HoldDraft, LegalHolds
from bennu.privacy.holds_store import Hold
from bennu.traces.projects.store import KIND as PROJECT


class SetHoldBody(msgspec.Struct):
    """What is held: a project, or one session or trace in it; and why."""

    project: str
    reason: str
    session_id: str | None = None
    trace_id: str | None = None


class HoldShown(msgspec.Struct):
    """A hold as clients see it; ``target`` is a name, a session id or a trace id."""

    id: str
    kind: str
    project_id: str
    target: str
    reason: str
    set_by: str
    created_at: str


class HoldAnswer(msgspec.Struct):
    """One hold."""

    data: HoldShown


class HoldListAnswer(msgspec.Struct):
    """Every hold, the newest first."""

    data: list[HoldShown]


def _shown(hold: Hold) -> HoldShown:
    return HoldShown(
        id=global_id(LEGAL_HOLD, hold.row_id),
        kind=str(hold.kind),
        project_id=global_id(PROJECT, hold.project_row),
        target=hold.target,
        reason=hold.reason,
        set_by=hold.set_by,
        created_at=time_text(hold.created_at),
    )


class _HoldHandlers:
    def __init__(self, flow: LegalHolds) -> None:
        self._flow = flow

    async def listing(self, request: Request) -> Response:
        found = await self._flow.list_holds(caller_of(request))
        return json_answer(HoldListAnswer([_shown(hold) for hold in found]))

    async def set(self, request: Request) -> Response:
        body = await json_of(request, SetHoldBody)
        draft = HoldDraft(body.project, body.session_id, body.trace_id, body.reason)
        hold = await self._flow.set_hold(caller_of(request), draft)
        return json_answer(HoldAnswer(_shown(hold)), 201)

    async def release(self, request: Request) -> Response:
        await self._flow.release_hold(caller_of(request), path_value(request, "hold_id"))
        return empty_answer()


def hold_routes(flow: LegalHolds) -> tuple[Route, ...]:
    """Return the routes of legal holds."""
    handlers = _HoldHandlers(flow)
    return (
        Route(
            method="GET",
            path="/v1/legal_holds",
            handler=handlers.listing,
            permission=Permission.RETENTION_MANAGE,
            summary="Every legal hold, the newest first",
            response=HoldListAnswer,
            tags=("retention",),
        ),
        Route(
            method="POST",
            path="/v1/legal_holds",
            handler=handlers.set,
            permission=Permission.RETENTION_MANAGE,
            summary="Hold a project, a session or a trace: nothing deletes it",
            request=SetHoldBody,
            response=HoldAnswer,
            status=201,
            events=(EventName.HOLD_SET,),
            errors=(404, 409),
            tags=("retention",),
        ),
        Route(
            method="DELETE",
            path="/v1/legal_holds/{hold_id}",
            handler=handlers.release,
            permission=Permission.RETENTION_MANAGE,
            summary="Release a legal hold",
            status=204,
            events=(EventName.HOLD_RELEASED,),
            tags=("retention",),
        ),
    )
