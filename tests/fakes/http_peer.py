"""A small HTTP server on loopback whose answers a test decides; real sockets, own threads."""

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Reply:
    """What is answered: a body, or any number of bytes without holding them."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    silent: bool = False


class HttpPeer:
    """Answers with what ``answer`` returns; keeps what it saw."""

    def __init__(
        self,
        answer: Callable[[Seen], Reply] = lambda _: Reply(),
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.answer, self.seen = answer, []  # type: Callable[[Seen], Reply], list[Seen]
        self.stopped = threading.Event()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"peer": self})
        )
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if trust is not None:
            self._server.socket = trust.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        scheme = "http" if trust is None else "https"
        self.url = f"{scheme}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]


class _Handler(BaseHTTPRequestHandler):
    peer: HttpPeer
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, self.rfile.read(length))
        self.peer.seen.append(seen)
        self._send(self.peer.answer(seen))

    do_GET = do_POST = _any  # noqa: N815 - the names that the library calls

    def _send(self, reply: Reply) -> None:
        if reply.silent:
            self.peer.stopped.wait(30)
            return
        self._send_head(reply)
        self.wfile.write(reply.body)
        while reply.endless and not self.peer.stopped.is_set():
            self.wfile.write(b"x" * 65_536)

    def _send_head(self, reply: Reply) -> None:
        tells_time = "date" in reply.headers
        (self.send_response_only if tells_time else self.send_response)(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        if not reply.endless and "content-length" not in reply.headers:
            self.send_header("content-length", str(len(reply.body)))
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""
