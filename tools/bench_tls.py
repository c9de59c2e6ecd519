"""Measure what TLS costs: CPU per kept request, and new connections, beside a bare uvicorn.

Run it from the root of the repository on an idle machine: ``.venv/bin/python tools/bench_tls.py``.
It starts every server itself, on loopback. What is compared is CPU time of the server's process,
which a busy machine disturbs less than a rate; new connections come from ``openssl s_time``.
"""

import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, "tests")
from peers.pki import Authority, Certificate
from started import ADMIN_SECRET, StartedServer, free_port

ROUNDS = 3
SECONDS = 4
CONNECTIONS = 16
HELLO = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"OK"})
"""
CLIENT = """
import socket, ssl, sys, time
port, ca, cert, key, seconds, count, request = sys.argv[1:]
context = ssl.create_default_context(cafile=ca) if ca else None
if cert:
    context.load_cert_chain(cert, key)
def connect():
    plain = socket.create_connection(("127.0.0.1", int(port)))
    return context.wrap_socket(plain, server_hostname="localhost") if context else plain
connections = [connect() for _ in range(int(count))]
data = request.encode().decode("unicode_escape").encode()
done, end = 0, time.monotonic() + float(seconds)
while time.monotonic() < end:
    for one in connections:
        one.sendall(data)
    for one in connections:
        answer = b""
        while b"\\r\\n\\r\\n" not in answer:
            answer += one.recv(65536)
        head, _, body = answer.partition(b"\\r\\n\\r\\n")
        assert b" 200 " in head, head
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\\r\\n")[0])
        while len(body) < length:
            body += one.recv(65536)
        done += 1
print(done)
"""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kept_request_us(pid: int, port: int, path: str, ca: str, shown: Certificate | None) -> float:
    """Return CPU microseconds of the server for a request on a connection that is kept."""
    bearer = f"authorization: Bearer {ADMIN_SECRET}\\r\\n" if path.startswith("/v1") else ""
    request = f"GET {path} HTTP/1.1\\r\\nhost: localhost\\r\\n{bearer}\\r\\n"
    pair = ("", "") if shown is None else (str(shown.cert), str(shown.key))
    arguments = (str(port), ca, *pair, str(SECONDS), str(CONNECTIONS), request)
    before = cpu_seconds(pid)
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", CLIENT, *arguments], capture_output=True, text=True, check=True
    )
    return (cpu_seconds(pid) - before) * 1e6 / int(done.stdout)


def new_connections(pid: int, port: int, path: str) -> tuple[float, float]:
    """Return new TLS connections a second, and CPU microseconds of the server for each."""
    before, began = cpu_seconds(pid), time.monotonic()
    command = ["openssl", "s_time", "-new", "-time", str(SECONDS), "-www", path]
    done = subprocess.run(  # noqa: S603 - our own arguments
        [*command, "-connect", f"127.0.0.1:{port}"], capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    found = re.search(r"(\d+) connections in \d+ real seconds", done.stdout)
    count = int(found[1]) if found else 0
    return count / seconds, (cpu_seconds(pid) - before) * 1e6 / max(count, 1)


@contextmanager
def bare_uvicorn(folder: Path, pair: Certificate | None) -> Iterator[tuple[int, int]]:
    """Start uvicorn with an application of four lines; yield process id and port."""
    (folder / "hello.py").write_text(HELLO)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "hello:app", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "error", "--http", "httptools"]
    if pair is not None:
        command += ["--ssl-certfile", str(pair.cert), "--ssl-keyfile", str(pair.key)]
    with subprocess.Popen(command, cwd=folder) as process:  # noqa: S603 - our own arguments
        time.sleep(2)
        try:
            yield process.pid, port
        finally:
            process.kill()


@contextmanager
def bennu(
    folder: Path, authority: Authority, pair: Certificate | None, shown: Certificate | None
) -> Iterator[tuple[int, int]]:
    """Start Bennu; yield process id and port."""
    env, context = {"PHOENIX_DISABLE_RATE_LIMIT": "true"}, None
    if pair is not None:
        env |= {
            "PHOENIX_TLS_ENABLED_FOR_HTTP": "true",
            "PHOENIX_TLS_CERT_FILE": str(pair.cert),
            "PHOENIX_TLS_KEY_FILE": str(pair.key),
        }
        context = ssl.create_default_context(cafile=authority.cert)
    if shown is not None and context is not None:
        env |= {
            "PHOENIX_TLS_CA_FILE": str(authority.cert),
            "PHOENIX_TLS_VERIFY_CLIENT": "true",
        }
        context.load_cert_chain(shown.cert, shown.key)
    with StartedServer(Path(tempfile.mkdtemp(dir=folder)), env, tls=context) as server:
        yield server.pid, server.port


def main() -> int:
    """Measure everything in turns and print the medians."""
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder / "pki")
        pair = authority.issue("server", "/CN=localhost", algorithm="RSA")
        shown = authority.issue("client", "/CN=client", usage="clientAuth")
        ca = str(authority.cert)
        variants = {
            "plain": (None, "", None),
            "TLS": (pair, ca, None),
            "mutual TLS": (pair, ca, shown),
        }
        for _ in range(ROUNDS):
            for label, (own, roots, client) in variants.items():
                with bennu(folder, authority, own, client) as (pid, port):
                    for path in ("/healthz", "/v1/projects"):
                        us = kept_request_us(pid, port, path, roots, client)
                        note(f"Bennu, {label}, {path}: us a kept request", us)
                    if label == "TLS":
                        rate, us = new_connections(pid, port, "/healthz")
                        note("Bennu: new TLS connections/s", rate)
                        note("Bennu: us a new TLS connection", us)
            with bare_uvicorn(folder, None) as (pid, port):
                note("uvicorn, plain: us a kept request", kept_request_us(pid, port, "/", "", None))
            with bare_uvicorn(folder, pair) as (pid, port):
                note("uvicorn, TLS: us a kept request", kept_request_us(pid, port, "/", ca, None))
                rate, us = new_connections(pid, port, "/")
                note("uvicorn: new TLS connections/s", rate)
                note("uvicorn: us a new TLS connection", us)
    for what, values in figures.items():
        runs = ", ".join(f"{value:.0f}" for value in values)
        sys.stdout.write(f"{what:<52}{statistics.median(values):>9.0f}   ({runs})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
