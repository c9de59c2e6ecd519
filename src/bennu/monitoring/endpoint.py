"""The page that Prometheus reads: ``GET /metrics`` on a port of its own, with a token if set.

Spec: line 272.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from bennu.httpio.respond import text_answer
from bennu.kernel.ids import equal_in_constant_time
from bennu.kernel.secret import Secret

PATH: Final = "/metrics"
_TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
_HEADERS: Final = {
    "content-type": _TEXT_FORMAT,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


class MetricsEndpoint:
    """ASGI application.

    Args:
        render: reads the current values and returns the text.
        token: that readers must send as bearer; None for everybody who reaches the port.
    """

    def __init__(self, render: Callable[[], Awaitable[bytes]], token: Secret | None) -> None:
        self._render, self._token = render, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Answer one request."""
        if scope["path"] != PATH:
            answer = text_answer("Not Found", 404)
        elif scope["method"] not in {"GET", "HEAD"}:
            answer = text_answer("Method Not Allowed", 405, {"allow": "GET, HEAD"})
        elif not self._may_read(scope):
            answer = text_answer("Unauthorized", 401, {"www-authenticate": "Bearer"})
        else:
            answer = text_answer((await self._render()).decode(), 200, _HEADERS)
        await answer(scope, receive, send)

    def _may_read(self, scope: Any) -> bool:  # noqa: ANN401 - ASGI
        if self._token is None:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        is_equal = equal_in_constant_time(token.strip(), self._token.reveal().encode())
        return scheme.lower() == b"bearer" and is_equal
