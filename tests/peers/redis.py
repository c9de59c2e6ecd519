"""A real Redis with a password, plain and over TLS with client certificates."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.pki import Pki
from started import free_port

PASSWORD = "redis-password-4"
_START_SECONDS = 20


class RedisServer:
    """One server process."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self._folder, self._pki = folder, pki
        self.port, self.tls_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def tls_url(self) -> str:
        return self.tls_address()

    def tls_address(self, *, with_authority: bool = True, with_client: bool = True) -> str:
        """Return the address over TLS, perhaps without what Redis or the client asks for."""
        client, words = self._pki.client, list[str]()
        if with_authority:
            words.append(f"ssl_ca_certs={self._pki.authority.cert}")
        if with_client:
            words += [f"ssl_certfile={client.cert}", f"ssl_keyfile={client.key}"]
        return f"rediss://:{PASSWORD}@localhost:{self.tls_port}/0?{'&'.join(words)}"

    def start(self) -> None:
        server = self._pki.server
        self._folder.mkdir(exist_ok=True)
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "tls-port": self.tls_port,
            "tls-cert-file": server.cert,
            "tls-key-file": server.key,
            "tls-ca-cert-file": self._pki.authority.cert,
            "tls-auth-clients": "yes",
            "requirepass": PASSWORD,
            "dir": self._folder,
            "save": "",
            "appendonly": "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            ["redis-server", *words], stdout=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise AssertionError("Redis does not listen")

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def redis_server(tmp_path: Path, pki: Pki) -> Iterator[RedisServer]:
    """A Redis of its own, which the test may stop and start again."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed: make setup-test")
    server = RedisServer(tmp_path / "redis", pki)
    server.start()
    yield server
    server.stop()
