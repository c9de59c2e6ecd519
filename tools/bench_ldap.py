"""Measure sign-in through a directory: its cost, and what a directory that hangs costs others.

Starts a slapd of its own and a server on loopback; run it on a machine that has nothing else to do:

    .venv/bin/python tools/bench_ldap.py
"""

import asyncio
import contextlib
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import httpx
import ldap

from fakes.directories import Asked
from peers.pki import Authority, Pki
from peers.slapd import PEOPLE, SERVICE_DN, SERVICE_PASSWORD, SlapdServer, running_slapd
from started import StartedServer

ROUNDS = 60
HANGING = 32
SECONDS = 8.0
SIGNED_IN, AWAY = 204, 503
SETTINGS = {
    "PHOENIX_DISABLE_RATE_LIMIT": "true",
    "PHOENIX_LDAP_SYNC_INTERVAL_MINUTES": "0",
    "PHOENIX_LOGGING_LEVEL": "error",
}


def make_pki(folder: Path) -> Pki:
    """Make certificates for the directory."""
    authority, foreign = Authority(folder / "trusted"), Authority(folder / "foreign", "Foreign CA")
    return Pki(
        authority,
        foreign,
        authority.issue("server", "/O=Test/CN=localhost"),
        authority.issue("client", "/CN=client", usage="clientAuth"),
        foreign.issue("client", "/CN=client", usage="clientAuth"),
    )


def raw_connection(slapd: SlapdServer) -> ldap.ldapobject.LDAPObject:
    """Connect as the library does it by itself."""
    connection = ldap.initialize(f"ldap://{slapd.host}:{slapd.port}")
    connection.set_option(ldap.OPT_REFERRALS, 0)
    connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    connection.set_option(ldap.OPT_X_TLS_CACERTFILE, str(slapd.folder / "ca.pem"))
    connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    connection.start_tls_s()
    return connection


def raw_sign_in(slapd: SlapdServer) -> None:
    """Bind, search, bind, as the library does it by itself."""
    service = raw_connection(slapd)
    service.simple_bind_s(SERVICE_DN, SERVICE_PASSWORD)
    found = service.search_ext_s(
        PEOPLE,
        ldap.SCOPE_SUBTREE,
        "(&(objectClass=inetOrgPerson)(uid=alice))",
        ["mail", "memberOf"],
    )
    person = raw_connection(slapd)
    person.simple_bind_s(found[0][0], "alicepw")
    person.unbind_s()
    service.unbind_s()


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def disk_seconds() -> float:
    """Return how long the disk takes for one small write, the median of some."""
    with tempfile.TemporaryFile() as file:

        def write() -> None:
            file.write(b"x" * 8192)
            file.flush()
            os.fdatasync(file.fileno())

        return statistics.median(seconds_of(write) for _ in range(50))


def compare_cost(slapd: SlapdServer, server: StartedServer) -> None:
    """Measure sign-ins and bare binds in turn."""
    # The standard library's client: a comfortable one takes as long as the server.
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    body = json.dumps({"username": "alice", "password": "alicepw"})
    headers = {"content-type": "application/json"}

    def sign_in() -> None:
        client.request("POST", "/auth/ldap/login", body, headers)
        answer = client.getresponse()
        answer.read()
        if answer.status != SIGNED_IN:
            raise SystemExit(f"{answer.status} {answer.reason}")

    directory = Asked(slapd.env())
    raw, ours, asked = [], [], []
    for _ in range(5):
        sign_in()
        raw_sign_in(slapd)
    for _ in range(ROUNDS):
        raw.append(seconds_of(lambda: raw_sign_in(slapd)))
        ours.append(seconds_of(sign_in))
        asked.append(seconds_of(lambda: asyncio.run(directory.who("alice", "alicepw"))))
    directory.stop()
    print(f"commit that reaches the disk        median {disk_seconds() * 1000:6.1f} ms")
    one, part, other = (statistics.median(found) for found in (raw, asked, ours))
    print(f"bind, search, bind of the library   median {one * 1000:6.1f} ms")
    print(f"what a sign-in asks the directory   median {part * 1000:6.1f} ms   {part / one:.2f} x")
    print(
        f"sign-in over HTTP, session opened   median {other * 1000:6.1f} ms   {other / one:.2f} x"
    )


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def latencies(server: StartedServer, key: str, seconds: float) -> list[float]:
    """Ask for something else again and again; return how long each answer took."""
    found = []
    with httpx.Client(
        base_url=server.base_url, headers={"authorization": f"Bearer {key}"}, timeout=60
    ) as client:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            found.append(seconds_of(lambda: client.get("/v1/projects")))
            time.sleep(0.002)
    return found


def compare_hang(slapd: SlapdServer, server: StartedServer, key: str) -> None:
    """Measure other requests with the server idle, and while sign-ins hang."""
    latencies(server, key, 1)
    idle = latencies(server, key, SECONDS)
    slapd.freeze()
    stop = threading.Event()

    def hang(number: int) -> None:
        with httpx.Client(base_url=server.base_url, timeout=60) as client:
            while not stop.is_set():
                body = {"username": f"user{number}-{time.monotonic_ns()}", "password": "x"}
                answer = client.post("/auth/ldap/login", json=body)
                if answer.status_code != AWAY:
                    raise SystemExit(f"{answer.status_code} {answer.text}")

    with ThreadPoolExecutor(HANGING) as pool:
        jobs = [pool.submit(hang, number) for number in range(HANGING)]
        time.sleep(1)
        busy = latencies(server, key, SECONDS)
        stop.set()
        for job in jobs:
            job.result()
    slapd.thaw()
    before, after = percentile(idle, 0.99) * 1000, percentile(busy, 0.99) * 1000
    bound = max(3 * before, 25)
    print(f"GET /v1/projects, idle              p99 {before:6.1f} ms   ({len(idle)} requests)")
    print(
        f"while {HANGING} sign-ins hang             p99 {after:6.1f} ms   "
        f"({len(busy)} requests; bound {bound:.1f} ms)"
    )


def main() -> None:
    """Measure both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.ExitStack() as stack:
            slapd = stack.enter_context(running_slapd(make_pki(folder / "pki")))
            server = stack.enter_context(StartedServer(folder, {**slapd.env(), **SETTINGS}))
            compare_cost(slapd, server)
            compare_hang(slapd, server, server.api_key())


if __name__ == "__main__":
    main()
