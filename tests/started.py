"""A Bennu server as a deployment starts it: a process of its own, real ports, real files."""

import contextlib
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from peers.pki import Certificate, Pki

SECRET = "0123456789abcdef0123456789abcdef-started"
ADMIN_SECRET = "fedcba9876543210fedcba9876543210-admin"
ADMIN_EMAIL = "admin@localhost"
FIRST_PASSWORD = "first-Password-of-4-admin"
PASSWORD = "quite-another-Password-5"
START_SECONDS = 60
#: Below 32,768, where Linux begins to take ports for outgoing connections.
_FIRST_PORT, _PORTS, _RANGES = 20_000, 2_000, 6
_given: set[int] = set()


def free_port() -> int:
    """Return a port of the loopback address that nobody uses, for a server that is to start.

    Not one that the system would choose: from those it takes the ports of outgoing connections,
    and one of them could have it before the server starts, or while it starts again. Each worker
    has a range of its own and gives no port twice in a while.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + _PORTS * (worker % _RANGES)
    if len(_given) > _PORTS // 2:
        _given.clear()
    while True:
        port = first + secrets.randbelow(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            if port not in _given:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port


def tls_context(pki: Pki, shown: Certificate | None = None) -> ssl.SSLContext:
    """Return how a client speaks TLS that trusts our authority and may show a certificate."""
    context = ssl.create_default_context(cafile=pki.authority.cert)
    if shown is not None:
        context.load_cert_chain(shown.cert, shown.key)
    return context


class StartedServer:
    """One server process; a context manager that ends it.

    Args:
        folder: for its files and its log.
        env: settings besides those of every test; "" takes one away.
        tls: how its own clients speak to an HTTP port that speaks TLS.
    """

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.folder, self.tls = folder, tls
        self.port, self.grpc_port = free_port(), free_port()
        self.log_file = folder / "server.log"
        self.env = {
            "PHOENIX_ENABLE_AUTH": "true",
            "PHOENIX_SECRET": SECRET,
            "PHOENIX_ADMIN_SECRET": ADMIN_SECRET,
            "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": FIRST_PASSWORD,
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self.grpc_port),
            "PHOENIX_WORKING_DIR": str(folder / "work"),
            # Tests sign in more often than people do; those of the limits switch them on.
            "PHOENIX_DISABLE_RATE_LIMIT": "true",
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[httpx.Client] = []

    @property
    def base_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def _verify(self) -> ssl.SSLContext | bool:
        return self.tls or True

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *wrapper: str) -> Self:
        """Start the process, under ``wrapper`` if one is given, and wait until it is ready."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PHOENIX_")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "bennu", "serve"],
                env={**kept, **{k: v for k, v in self.env.items() if v}},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"ended with {self._process.returncode}:\n{self.log()}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.base_url}/readyz", verify=self._verify).status_code == 200:
                    return self
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"not ready after {START_SECONDS} s:\n{self.log()}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()
        self.kill()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_for_log(self, text: str, seconds: float = 60) -> None:
        """Wait until the log holds a text, however busy the machine is."""
        deadline = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < deadline, f"no {text} in:\n{self.log()}"
            time.sleep(0.05)

    def log_records(self) -> list[dict[str, Any]]:
        """Return the lines of a server that logs in the structured mode."""
        return [json.loads(line) for line in self.log().splitlines() if line.strip()]

    def kill(self) -> None:
        """End the process as a power failure would, as far as the process is concerned."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def send_signal(self, name: str) -> None:
        """Send a signal such as SIGHUP to the process."""
        os.kill(self.pid, signal.Signals[name])

    def terminate(self, timeout_seconds: float = 20) -> tuple[int, float]:
        """Ask the process to end; return its exit status and how long it took."""
        assert self._process is not None
        began = time.monotonic()
        os.killpg(self._process.pid, signal.SIGTERM)
        status = self._process.wait(timeout_seconds)
        self._process = None
        return status, time.monotonic() - began

    # --- callers ---------------------------------------------------------------------------

    def client(self, bearer: str = "", **headers: str) -> httpx.Client:
        """Return a client of its own cookie jar, with a bearer credential if one is given."""
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        client = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=30, verify=self._verify
        )
        self._clients.append(client)
        return client

    def sign_in(self, email: str = ADMIN_EMAIL, password: str = FIRST_PASSWORD) -> httpx.Client:
        """Sign in with a password; the returned client holds the session's cookies."""
        client = self.client()
        answer = client.post("/auth/login", json={"email": email, "password": password})
        assert answer.status_code == 204, answer.text
        return client

    def admin(self) -> httpx.Client:
        """Sign in as the first admin, changing the first password if that was not done yet."""
        client = self.client()
        body = {"email": ADMIN_EMAIL, "password": PASSWORD}
        if client.post("/auth/login", json=body).status_code == 204:
            return client
        first = self.sign_in()
        changed = first.patch(
            "/v1/user", json={"current_password": FIRST_PASSWORD, "password": PASSWORD}
        )
        assert changed.status_code < 300, changed.text
        return self.sign_in(password=PASSWORD)

    def api_key(self, client: httpx.Client | None = None, **data: Any) -> str:
        """Make an API key of the client's user, the first admin by default."""
        client = client or self.admin()
        answer = client.post("/v1/user/api_keys", json={"data": {"name": "key", **data}})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["key"])
