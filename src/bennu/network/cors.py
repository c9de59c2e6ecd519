"""Lets pages of the listed origins call the interface from a browser (CORS).

Exact origins get credentials; ``*`` never does: it lets any page read what is open to everybody.

Spec: lines 206-208, 237-238. Source: Fetch standard, CORS protocol. Contract: security, 14.
"""

import re
from collections.abc import Awaitable, Iterable
from typing import Final

from bennu.httpio.respond import empty_answer, text_answer
from bennu.network.asgi import AsgiApp, Message, Receive, Scope, Send

_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_MAX_AGE_SECONDS: Final = b"600"
#: What scripts may read besides the few headers that are always theirs.
_EXPOSED: Final = (
    b"x-phoenix-server-version, x-request-id, retry-after, ratelimit, ratelimit-policy, "
    b"content-disposition"
)
_HEADER_LIST: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,2000}")
_PREFLIGHT_VARY: Final = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
Headers = list[tuple[bytes, bytes]]


class CorsLayer:
    """ASGI layer; it stands only where ``PHOENIX_ALLOWED_ORIGINS`` lists something.

    Args:
        app: what follows.
        origins: as in ``NetworkSettings.allowed_origins``.
    """

    def __init__(self, app: AsgiApp, origins: Iterable[str]) -> None:
        listed = tuple(origins)
        self._app = app
        self._exact = frozenset(origin.encode() for origin in listed if origin != "*")
        self._any = "*" in listed

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a preflight; add what the browser asks for to every other answer."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        origin = method = wanted = None
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
            elif name == b"access-control-request-method":
                method = value
            elif name == b"access-control-request-headers":
                wanted = value
        if scope["method"] == "OPTIONS" and origin is not None and method is not None:
            return self._preflight(origin, wanted or b"", scope, receive, send)
        return self._app(scope, receive, _with(send, self._allowance(origin)))

    def _allowance(self, origin: bytes | None) -> Headers:
        """Return the headers that let a page of an origin read an answer."""
        headers: Headers = [(b"vary", b"Origin")]
        if origin in self._exact:
            headers.append((b"access-control-allow-origin", origin or b""))
            headers.append((b"access-control-allow-credentials", b"true"))
        elif origin is not None and self._any:
            headers.append((b"access-control-allow-origin", b"*"))
        else:
            return headers
        return [*headers, (b"access-control-expose-headers", _EXPOSED)]

    def _preflight(
        self, origin: bytes, wanted: bytes, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        headers = [pair for pair in self._allowance(origin) if pair[0] != b"vary"]
        is_allowed = bool(headers) and _HEADER_LIST.fullmatch(wanted) is not None
        answer = empty_answer() if is_allowed else text_answer("Disallowed CORS origin", 400)
        more: Headers = [(b"vary", _PREFLIGHT_VARY)]
        if is_allowed:
            more += [h for h in headers if h[0] != b"access-control-expose-headers"]
            more += [
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-max-age", _MAX_AGE_SECONDS),
            ]
            if wanted:
                more.append((b"access-control-allow-headers", wanted))
        return answer(scope, receive, _with(send, more))


def _with(send: Send, more: Headers) -> Send:
    """Wrap ``send`` so that the answer carries further headers; ``vary`` is merged."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            varies = b", ".join(value for name, value in (*headers, *more) if name == b"vary")
            headers = [pair for pair in headers if pair[0] != b"vary"]
            message["headers"] = [
                *headers,
                *((name, varies if name == b"vary" else value) for name, value in more),
            ]
        await send(message)

    return sending
