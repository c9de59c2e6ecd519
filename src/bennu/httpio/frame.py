"""The outermost layer around every request: its id, the client's address, headers, one log line.

Spec: lines 252-255 (every request leaves a line), 226-239 (headers).
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
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
#: Probes ask every few seconds; their lines would bury the others.
_QUIET_PATHS: Final = frozenset({"/healthz", "/readyz"})
_USER_AGENT_LIMIT: Final = 512


Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class AnswerHeaders:
    """The headers of every answer, where the answer does not bring its own.

    Args:
        interface: of everything but pages.
        page: of answers whose type is ``text/html``.
        by_tls: further ones for clients that came by TLS.
    """

    interface: Headers = ()
    page: Headers = ()
    by_tls: Headers = ()


def _peer_address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """What the frame is told by the settings.

    Args:
        root_url: the public address, None when it is unknown.
        headers: of every answer.
        address_of: finds the client's address, and corrects the scheme in the scope.
        on_answer: told of the status of every answer, None when nobody counts them.
    """

    root_url: str | None = None
    headers: AnswerHeaders = AnswerHeaders()
    address_of: Callable[[Scope], str] = _peer_address
    on_answer: Callable[[int], None] | None = None


class RequestFrame:
    """ASGI layer that frames a request; nothing an application raises gets past it."""

    def __init__(
        self, app: ASGIApp, clock: Clock, entropy: Entropy, options: FrameOptions | None = None
    ) -> None:
        self._app, self._clock, self._entropy = app, clock, entropy
        self._options = FrameOptions() if options is None else options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application inside the frame."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.monotonic_seconds()
        options = self._options
        scope[ADDRESS] = options.address_of(scope)
        scope[REQUEST_ID] = self._entropy.bytes(8).hex()
        scope["bennu.root_url"] = options.root_url
        status: list[int] = []
        framed = _with_headers(scope, send, status, options.headers)
        try:
            await self._app(scope, receive, framed)
        except Exception:
            logger.exception("http.failed", extra={"request_id": scope[REQUEST_ID]})
            if not status:
                await text_answer("Internal Server Error", 500)(scope, receive, framed)
        if options.on_answer is not None:
            options.on_answer(status[0] if status else 0)
        if _path_below_root(scope) not in _QUIET_PATHS and logger.isEnabledFor(logging.INFO):
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


def _path_below_root(scope: Scope) -> str:
    """Return the path without the root path, which the server hands on in front of it."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _with_headers(
    scope: Scope, send: Send, status: list[int], headers: AnswerHeaders
) -> Callable[[Message], Awaitable[None]]:
    """Wrap ``send`` so that each answer carries the headers of every answer."""

    async def framed(message: Message) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
            message["headers"] = _completed(message.get("headers", ()), scope, headers)
        await send(message)

    return framed


def _completed(
    given: Iterable[tuple[bytes, bytes]], scope: Scope, headers: AnswerHeaders
) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with those that it does not bring itself."""
    completed = list(given)
    names, is_page = set(), False
    for name, value in completed:
        names.add(name)
        if name == b"content-type" and value.startswith(b"text/html"):
            is_page = True
    completed += [p for p in (headers.page if is_page else headers.interface) if p[0] not in names]
    if scope["scheme"] == "https":
        completed += headers.by_tls
    if _path_below_root(scope).startswith(_VERSIONED_PATHS):
        completed.append(_VERSION_HEADER)
    completed.append((b"x-request-id", scope[REQUEST_ID].encode()))
    return completed


def user_agent_of(scope: Scope) -> str:
    """Return the client's own name as sent, at most 512 characters, "" when it sent none."""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            text: str = value.decode("latin-1")
            return text[:_USER_AGENT_LIMIT]
    return ""
