"""The probe of the machine itself: a Unix socket that says whether the server is ready.

It works whatever the listeners ask of a client, such as a certificate, and is open to the user
that runs the server only. It speaks just enough HTTP for ``curl --unix-socket``.

Spec: lines 190-196 (a probe without a client certificate), 272.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

logger: Final = logging.getLogger("bennu.monitoring")

_OWNER_ONLY: Final = 0o600
_FOLDER_MODE: Final = 0o700
_REQUEST_SECONDS: Final = 5
_REQUEST_LIMIT_BYTES: Final = 8192
_BACKLOG: Final = 16
_PHRASES: Final = {200: "OK", 503: "Service Unavailable"}


class ProbeFailedError(Exception):
    """The server did not answer, or says that it is not ready; the text says which and why."""


def probe_socket_path(working_dir: Path, port: int) -> Path:
    """Return where the socket of the server on this HTTP port is."""
    return working_dir / f"bennu-{port}.sock"


@contextlib.contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """Yield a path of the socket that fits: an address of a socket has 108 bytes at most."""
    text = str(path)
    if len(os.fsencode(text)) < 100 or not Path("/proc/self/fd").is_dir():  # noqa: PLR2004
        yield text
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class ProbeSocket:
    """The socket of one running server.

    Args:
        path: where; one that a dead server left there is replaced.
        reasons: says why the server is not ready; empty when it is.
    """

    def __init__(self, path: Path, reasons: Callable[[], Awaitable[tuple[str, ...]]]) -> None:
        self._path, self._reasons = path, reasons
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Open the socket; a folder that cannot be written to is remarked, and no obstacle."""
        try:
            listener = self._bound()
        except OSError as error:
            fields = {"path": str(self._path), "why": error.strerror}
            logger.warning("probe.socket.unavailable", extra=fields)
            return
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=_REQUEST_LIMIT_BYTES
        )

    def _bound(self) -> socket.socket:
        self._path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise FileExistsError(17, "something else has that name")
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Before it has a name: Linux makes the file with the mode of the socket.
            os.fchmod(listener.fileno(), _OWNER_ONLY)
            with _short_path(self._path) as address:
                listener.bind(address)
            self._path.chmod(_OWNER_ONLY)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        return listener

    async def stop(self) -> None:
        """Close the socket and take its file away."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_REQUEST_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                reasons = await self._reasons()
                writer.write(_answer(503 if reasons else 200, ", ".join(reasons) or "ready"))
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()


def _answer(status: int, text: str) -> bytes:
    body = text.encode()
    return (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: text/plain\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode() + body


def ask_probe_socket(path: Path, timeout_seconds: float) -> None:
    """Ask the server of this socket whether it is ready.

    Raises:
        ProbeFailedError: it is not, or nobody answers.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_seconds)
            with _short_path(path) as address:
                connection.connect(address)
            connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    except FileNotFoundError:
        raise ProbeFailedError(f"no server: there is no {path}") from None
    except OSError as error:
        raise ProbeFailedError(f"no answer from {path}: {error.strerror or error}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ProbeFailedError(f"not ready: {body.decode(errors='replace') or 'no answer'}")
