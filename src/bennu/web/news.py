"""How many traces have come into a project since a page was shown, as server-sent events.

Spec: lines 134-141. Decision 20.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bennu.access import Caller, Permission, Principal
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.route import Query, Route
from bennu.kernel.errors import DeniedError
from bennu.traces.browsing.flow import Browsing
from bennu.web.streams import Streams

_PATH: Final = "/events/projects/{project}"
_MEDIA_TYPE: Final = "text/event-stream"
_SINCE_DIGITS: Final = 18

#: Says who is calling as of now, from what the request brought when it began.
LookAgain = Callable[[Any], Awaitable[Principal]]


class _News:
    def __init__(self, browsing: Browsing, streams: Streams, look_again: LookAgain) -> None:
        self._browsing, self._streams, self._look_again = browsing, streams, look_again

    async def of_project(self, request: Request) -> Response:
        """Tell how many traces are new, until the page or its session is gone."""
        caller, project = caller_of(request), path_value(request, "project")
        since = _since(request.query_params.get("since", ""))

        async def look() -> str:
            principal = await self._look_again(request.scope)
            if principal.must_change_password:
                raise DeniedError("The password must be changed first")
            now = replace(caller, principal=principal)
            return str(await self._browsing.count_newer(now, project, since))

        session = session_of_stream(caller)
        self._streams.check_room(session)
        await look()  # what is refused is refused with its status, before a stream begins
        return StreamingResponse(
            self._streams.events(session, "news", look),
            media_type=_MEDIA_TYPE,
            # Proxies that collect answers would hold events back.
            headers={"x-accel-buffering": "no"},
        )


def session_of_stream(caller: Caller) -> str:
    """Return what streams are counted by: the session or key, or the address without one."""
    return caller.principal.credential_id or caller.address


def _since(text: str) -> int:
    is_row = text.isascii() and text.isdecimal() and len(text) <= _SINCE_DIGITS
    return int(text) if is_row else 0


def news_routes(browsing: Browsing, streams: Streams, look_again: LookAgain) -> tuple[Route, ...]:
    """Return the routes of the streams of pages."""
    of = _News(browsing, streams, look_again)
    return (
        Route(
            method="GET",
            path=_PATH,
            handler=of.of_project,
            permission=Permission.TRACES_READ,
            summary="How many traces have come since a page was shown, as server-sent events",
            query=(Query("since", meaning="newest row of the page"),),
            responses_media=_MEDIA_TYPE,
            hidden=True,
        ),
    )
