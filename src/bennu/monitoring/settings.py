"""What watches the server: ``/healthz`` (it runs) and ``/readyz`` (it can do its work).

Spec: line 272 (enable monitoring and alerting).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.httpio.respond import json_answer, text_answer
from bennu.httpio.route import Door, Limit, Route

#: Each check gives "" when all is well, else what is wrong, in words that anybody may read.
Check = Callable[[], Awaitable[str]]

STOPPING: Final = "stopping"


class Readiness:
    """Whether the server can take work; the checks are given by ``app``."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self.is_stopping = False

    async def reasons(self) -> tuple[str, ...]:
        """Return why the server is not ready; empty when it is."""
        if self.is_stopping:
            return (STOPPING,)
        found = [await check() for check in self._checks.values()]
        return tuple(text for text in found if text)


def health_routes(readiness: Readiness) -> tuple[Route, ...]:
    """Return the routes that probes ask; they tell nothing that a stranger could use."""

    async def healthz(_: Request) -> Response:
        return text_answer("OK")

    async def readyz(_: Request) -> Response:
        reasons = await readiness.reasons()
        return text_answer(", ".join(reasons), 503) if reasons else json_answer({})

    return (
        Route(
            method="GET",
            path="/healthz",
            handler=healthz,
            permission=Door.OPEN,
            limit=Limit.NONE,
            summary="Whether the process runs",
            responses_media="text/plain",
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=readyz,
            permission=Door.OPEN,
            limit=Limit.NONE,
            summary="Whether the server can take work: database and ingest queue",
            response=dict,
        ),
    )
