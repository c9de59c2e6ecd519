"""Eight clients that sign in without pause leave the other requests alone.

By hand (`make soak`), as it measures time and needs a machine that does nothing else.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from started import ADMIN_EMAIL, PASSWORD, StartedServer

CLIENTS = 8
REQUESTS = 400
LEAST_ALLOWED_SECONDS = 0.025
FACTOR = 3
ENV = {
    "PHOENIX_DISABLE_RATE_LIMIT": "true",
    "PHOENIX_DISABLE_BRUTE_FORCE_LOGIN_PROTECTION": "true",
}
#: A process of its own, so that what it does is not measured.
SIGNING_IN = """
import http.client, json, sys, threading
port, email, password, clients = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
body = json.dumps({"email": email, "password": password})
def sign_in():
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        connection.request("POST", "/auth/login", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status in {204, 401}, answer.status
        print(answer.status, flush=True)
for _ in range(clients - 1):
    threading.Thread(target=sign_in, daemon=True).start()
sign_in()
"""


def latencies(server: StartedServer, key: str) -> list[float]:
    """Return the seconds of requests, one after the other, in ascending order."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    taken = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("GET", "/v1/projects", headers={"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        answer.read()
        taken.append(time.perf_counter() - began)
        assert answer.status == 200
        time.sleep(0.01)
    connection.close()
    return sorted(taken)


@contextmanager
def signing_in(server: StartedServer, password: str, counted: Path) -> Iterator[None]:
    command = [sys.executable, "-c", SIGNING_IN, str(server.port), ADMIN_EMAIL, password]
    with (
        counted.open("wb") as log,
        subprocess.Popen([*command, str(CLIENTS)], stdout=log) as process,
    ):
        time.sleep(2)
        try:
            assert process.poll() is None
            yield
        finally:
            process.kill()


@pytest.mark.soak
@pytest.mark.parametrize("password", [PASSWORD, "wrong-but-just-as-long"])
def test_other_requests_stay_fast(tmp_path: Path, password: str) -> None:
    place = int(REQUESTS * 0.99)
    with StartedServer(tmp_path, ENV) as server:
        key = server.api_key()
        latencies(server, key)
        idle = latencies(server, key)
        counted = tmp_path / "signed-in"
        with signing_in(server, password, counted):
            busy = latencies(server, key)
    found = {
        "load_average": os.getloadavg()[0],
        "sign_ins": len(counted.read_text().splitlines()),
        "idle_p50_ms": round(idle[REQUESTS // 2] * 1000, 2),
        "idle_p99_ms": round(idle[place] * 1000, 2),
        "busy_p50_ms": round(busy[REQUESTS // 2] * 1000, 2),
        "busy_p99_ms": round(busy[place] * 1000, 2),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    assert busy[place] <= max(FACTOR * idle[place], LEAST_ALLOWED_SECONDS), found
