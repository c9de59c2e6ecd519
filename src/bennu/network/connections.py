"""Bounds on connections: how many per address, how large a head, how slow a client may be.

A head that does not come to its end, a body that trickles, a reader that does not read: each
holds memory and a descriptor for as long as it is let. All are closed in time by one sweep over
the open connections, so that a request that behaves pays for nothing but a few attributes.

Spec: lines 205-207. Source: OWASP ASVS 5.0 V15.4 (limits on resources); RFC 6585 section 5 (431).
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bennu.network.client_address import ClientAddresses, limit_key
from bennu.network.forwarded import plain_address

SWEEP_SECONDS: Final = 1.0
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """What one client may take.

    Args:
        per_address: connections that are open at a time; trusted proxies may have any number.
        head_bytes: of request line and headers together.
        head_seconds: until a head must have come to its end.
        idle_seconds: between two requests; the server itself closes a little earlier.
        body_bytes_per_second: a body must come at least as fast, taken over ``body_seconds``.
        body_seconds: how long it is watched before it is judged.
        unread_seconds: how long an answer may wait for a client that reads nothing.
        rest_seconds: how long a client may go on sending what was already answered.
    """

    per_address: int = 1_000
    head_bytes: int = 65_536
    head_seconds: float = 20.0
    idle_seconds: float = 75.0
    body_bytes_per_second: int = 500
    body_seconds: float = 20.0
    unread_seconds: float = 60.0
    rest_seconds: float = 10.0


class Connections:
    """The open connections of one server.

    Args:
        bounds: what one client may take.
        addresses: knows the trusted proxies.
    """

    def __init__(self, bounds: ConnectionBounds, addresses: ClientAddresses) -> None:
        self.bounds = bounds
        self._addresses = addresses
        self._open: set[BoundedHttp] = set()
        self._per_address: Counter[str] = Counter()
        self.refused_total = 0
        self.closed_slow_total = 0

    @property
    def open_count(self) -> int:
        """How many are open."""
        return len(self._open)

    def protocol_class(self, kind: "type[BoundedHttp] | None" = None) -> type[asyncio.Protocol]:
        """Return what uvicorn takes as ``http=``.

        Args:
            kind: of connection; None for the plain one.
        """
        return cast("type[asyncio.Protocol]", partial(kind or BoundedHttp, self))

    async def watch(self) -> None:
        """Close what is too slow, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(loop.time())

    def sweep(self, now: float) -> None:
        """Close the connections that are too slow at a time of the event loop."""
        for connection in tuple(self._open):
            if connection.is_too_slow(now):
                self.closed_slow_total += 1
                connection.end_slow()

    def admit(self, connection: "BoundedHttp", peer: str) -> bool:
        """Count a new connection; False when its address has too many."""
        address = plain_address(peer)
        if not address or self._addresses.trusts(address):
            self._open.add(connection)
            return True
        key = limit_key(address)
        if self._per_address[key] >= self.bounds.per_address:
            self.refused_total += 1
            return False
        self._per_address[key] += 1
        connection.counted_under = key
        self._open.add(connection)
        return True

    def forget(self, connection: "BoundedHttp") -> None:
        """Take a connection that ended out of the count."""
        self._open.discard(connection)
        key = connection.counted_under
        if key:
            connection.counted_under = ""
            self._per_address[key] -= 1
            if not self._per_address[key]:
                del self._per_address[key]


class BoundedHttp(HttpToolsProtocol):
    """One HTTP connection of uvicorn that knows how long it has been waiting for what."""

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._connections, self._bounds = connections, connections.bounds
        self.counted_under = ""
        self._head_deadline = _NEVER
        self._is_head_open = False
        self._head_bytes = 0
        self._is_in_body = False
        self._body_bytes = 0
        self._body_judged_at = 0.0
        self._answered_at = _NEVER
        self._unread_since = _NEVER

    # --- what happens ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it when its address has too many."""
        super().connection_made(transport)
        if not self._connections.admit(self, self.client[0] if self.client else ""):
            self._end(503, "Too many connections from this address")
            return
        self._head_deadline = self.loop.time() + self._bounds.head_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._connections.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a head beyond its bound ends the connection.

        What one read brings may hold the end of a body and a head, or a head and a body. It is
        counted as head where it can be nothing else: where the head was open before and still is.
        A head that came to its end is measured where it may have been too large.
        """
        was_open = self._is_head_open
        self._body_bytes += len(data)
        self._head_bytes = self._head_bytes + len(data) if was_open else len(data)
        super().data_received(data)
        if was_open and self._is_head_open and self._head_bytes > self._bounds.head_bytes:
            self._end(431, "Request header fields too large")

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._is_head_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._is_head_open, self._is_in_body = False, True
        self._head_deadline = _NEVER
        self._body_bytes, self._body_judged_at = 0, 0.0
        if self._head_bytes > self._bounds.head_bytes and self._measured_head() > (
            self._bounds.head_bytes
        ):
            self._end(431, "Request header fields too large")
            raise ValueError("head too large")  # ends the parsing
        super().on_headers_complete()

    def _measured_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_message_complete(self) -> None:
        """Note that what follows is the head of the next request."""
        self._is_in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless the connection was ended already."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Note since when the client has its answer."""
        now = self.loop.time()
        self._head_deadline = now + self._bounds.idle_seconds + self._bounds.head_seconds
        self._answered_at = now
        super().on_response_complete()

    # --- too slow? -------------------------------------------------------------------------

    def is_too_slow(self, now: float) -> bool:
        """Whether the client took longer for something than it may."""
        if self._reads_nothing(now):
            return True
        is_at_work = self.cycle is not None and not self.cycle.response_complete
        if self._is_in_body:
            if not is_at_work:
                return now - self._answered_at > self._bounds.rest_seconds
            return self._trickles(now)
        return not is_at_work and now > self._head_deadline

    def _reads_nothing(self, now: float) -> bool:
        if not self.flow.write_paused:
            self._unread_since = _NEVER
            return False
        if self._unread_since == _NEVER:
            self._unread_since = now
        return now - self._unread_since > self._bounds.unread_seconds

    def _trickles(self, now: float) -> bool:
        """Whether the body comes too slowly; not while we are the ones who do not read."""
        if self._body_judged_at == 0.0 or self.flow.read_paused:
            self._body_judged_at, self._body_bytes = now, 0
            return False
        watched = now - self._body_judged_at
        if watched < self._bounds.body_seconds:
            return False
        is_slow = self._body_bytes < self._bounds.body_bytes_per_second * watched
        self._body_judged_at, self._body_bytes = now, 0
        return is_slow

    def end_slow(self) -> None:
        """Close the connection; a client that sends too slowly is told so, if it reads at all.

        Closing waits until all that was written went out: for who reads nothing, for ever.
        """
        is_told = self._is_head_open and not self.flow.write_paused
        if is_told and not self.transport.is_closing():
            self._end(408, "Request took too long")
        else:
            self.transport.abort()

    def _end(self, status: int, text: str) -> None:
        """Answer without the application and close."""
        if self.transport.is_closing():
            return
        phrase = {408: "Request Timeout", 431: "Request Header Fields Too Large"}
        head = (
            f"HTTP/1.1 {status} {phrase.get(status, 'Service Unavailable')}\r\n"
            f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write((head + text).encode())
        self.transport.close()
