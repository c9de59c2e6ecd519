"""The outermost layer around every request: its id, the client's address, headers, one log line.

Spec: lines 252-255 (every request leaves a line), 226-239 (headers).
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bennu.access import Caller
from bennu.httpio.request import ADDRESS, CALLER, REQUEST_ID
from bennu.httpio.respond import text_answer
from bennu.kernel.clock import Clock
from bennu.kernel.ids import Entropy

logger: Final = logging.getLogger("bennu.http")

#: Existing clients compare it with the version that a call needs (contract, section 1).
SERVER_VERSION: Final = "20.26.1"
_VERSION_HEADER: Final = (b"x-phoenix-server-version", SERVER_VERSION.encode())
_VERSIONED_PATHS: Final = ("/v1/", "/api/v1/", "/arize_phoenix_version")
_EVERY_ANSWER: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
#: Probes ask every few seconds; their lines would bury the others.
_QUIET_PATHS: Final = frozenset({"/healthz", "/readyz"})
_USER_AGENT_LIMIT: Final = 512


class RequestFrame:
    """ASGI layer that frames a request; nothing an application raises gets past it."""

    def __init__(
        self, app: ASGIApp, clock: Clock, entropy: Entropy, root_url: str | None = None
    ) -> None:
        self._app, self._clock, self._entropy, self._root_url = app, clock, entropy, root_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application inside the frame."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.monotonic_seconds()
        client = scope.get("client")
        scope[ADDRESS] = client[0] if client else ""
        scope[REQUEST_ID] = self._entropy.bytes(8).hex()
        scope["bennu.root_url"] = self._root_url
        status: list[int] = []
        framed = _with_headers(scope, send, status)
        try:
            await self._app(scope, receive, framed)
        except Exception:
            logger.exception("http.failed", extra={"request_id": scope[REQUEST_ID]})
            if not status:
                await text_answer("Internal Server Error", 500)(scope, receive, framed)
        if scope["path"] not in _QUIET_PATHS and logger.isEnabledFor(logging.INFO):
            self._log(scope, status[0] if status else 0, began)

    def _log(self, scope: Scope, status: int, began: float) -> None:
        seconds = self._clock.monotonic_seconds() - began
        fields: dict[str, object] = {
            "request_id": scope[REQUEST_ID],
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "address": scope[ADDRESS],
        }
        caller: Caller | None = scope.get(CALLER)
        if caller is not None and caller.principal.public_id:
            fields["actor"] = caller.principal.public_id
        error = scope.get("bennu.error")
        if error is not None and error.detail:
            fields["reason"] = error.detail
        logger.info("http.request", extra=fields)


def _with_headers(
    scope: Scope, send: Send, status: list[int]
) -> Callable[[Message], Awaitable[None]]:
    """Wrap ``send`` so that each answer carries the headers of every answer."""
    versioned = scope["path"].startswith(_VERSIONED_PATHS)

    async def framed(message: Message) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
            headers = list(message.get("headers", ()))
            present = {name for name, _ in headers}
            headers += [pair for pair in _EVERY_ANSWER if pair[0] not in present]
            if versioned:
                headers.append(_VERSION_HEADER)
            headers.append((b"x-request-id", scope[REQUEST_ID].encode()))
            message["headers"] = headers
        await send(message)

    return framed


def user_agent_of(scope: Scope) -> str:
    """Return the client's own name as sent, at most 512 characters, "" when it sent none."""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            text: str = value.decode("latin-1")
            return text[:_USER_AGENT_LIMIT]
    return ""
