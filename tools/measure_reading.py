"""Measure lists of a database that tools/fill_spans.py filled, through a started server.

    .venv/bin/python tools/measure_reading.py --sqlite /tmp/full/bennu.db
    .venv/bin/python tools/measure_reading.py --postgres postgresql://user:password@host/name

Each list is asked for 5 times to warm up and 40 times to measure; printed are the median and the
95th percentile in milliseconds, and how many rows came. Run it on a quiet machine.
"""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

ADMIN_SECRET = "measure-reading-0123456789-abcdefgh"  # noqa: S105 - of a server for this run
WARM_UP, REPEATS = 5, 40
PROJECT = "/v1/projects/filled"


def queries(span: dict[str, Any], session: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, path and parameters of every list."""
    oldest = datetime(2000, 1, 1, tzinfo=UTC)
    at = datetime.fromisoformat(span["start_time"])
    recent = {"start_time": (at - timedelta(minutes=1)).isoformat()}
    spans, traces = f"{PROJECT}/spans", f"{PROJECT}/traces"
    yield "projects", "/v1/projects", {}
    yield "spans, newest", spans, {}
    yield "spans, newest by start", spans, {"sort": "start_time"}
    yield "spans, oldest by start", spans, {"sort": "start_time", "order": "asc"}
    yield "spans, root", spans, {"parent_id": "null"}
    yield "spans, one name", spans, {"name": "ChatCompletion"}
    yield "spans, one name by start", spans, {"name": "ChatCompletion", "sort": "start_time"}
    yield "spans, no such name", spans, {"name": "no-such-name"}
    yield "spans, two kinds", spans, {"span_kind": ["LLM", "TOOL"]}
    yield "spans, errors", spans, {"status_code": "ERROR"}
    yield "spans, errors of a name", spans, {"status_code": "ERROR", "name": "call_tool"}
    yield "spans, name and other kind", spans, {"span_kind": "LLM", "name": "chain"}
    yield "spans, last minute", spans, recent
    yield "spans, last minute of a name", spans, {**recent, "name": "chain"}
    yield "spans, before all", spans, {"end_time": oldest.isoformat()}
    yield "spans, one trace", spans, {"trace_id": span["context"]["trace_id"]}
    yield "spans, one parent", spans, {"parent_id": span["parent_id"]}
    yield "spans, attribute that most have", spans, {"attribute": "metadata.tier:gold"}
    yield (
        "spans, attribute of one trace",
        spans,
        {
            "trace_id": span["context"]["trace_id"],
            "attribute": "metadata.tier:gold",
        },
    )
    yield "traces, newest", traces, {}
    yield "traces, newest with spans", traces, {"include_spans": "true"}
    yield "traces, slowest", traces, {"sort": "latency_ms"}
    yield "traces, errors", traces, {"error": "true"}
    yield "traces, without errors", traces, {"error": "false"}
    yield "traces, slowest errors", traces, {"error": "true", "sort": "latency_ms"}
    yield "traces, few slow ones", traces, {"min_latency_ms": 20_000}
    yield "traces, many slow ones", traces, {"min_latency_ms": 1_000}
    yield "traces, slow errors", traces, {"min_latency_ms": 5_000, "error": "true"}
    yield "traces, no such latency", traces, {"min_latency_ms": 1e9}
    yield "traces, last minute", traces, recent
    yield "traces, one session", traces, {"session_identifier": session}
    yield "sessions, oldest", f"{PROJECT}/sessions", {}
    yield "sessions, newest", f"{PROJECT}/sessions", {"order": "desc"}
    yield "sessions, one", f"/v1/sessions/{session}", {}
    yield "annotations of 100 spans", f"{PROJECT}/span_annotations", {"span_ids": ["0" * 16] * 100}


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(url: str) -> Iterator[httpx.Client]:
    """Start a server on the database and return a client that may do everything."""
    port, folder = free_port(), tempfile.mkdtemp()
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PHOENIX_")},  # noqa: TID251
        "PHOENIX_ENABLE_AUTH": "true",
        "PHOENIX_SECRET": "measure-reading-0123456789-secret-0",
        "PHOENIX_ADMIN_SECRET": ADMIN_SECRET,
        "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": "measure-Reading-1",
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": folder,
        "PHOENIX_SQL_DATABASE_URL": url,
        "PHOENIX_LOGGING_LEVEL": "warning",
        "PHOENIX_DISABLE_RATE_LIMIT": "true",
    }
    command = [sys.executable, "-m", "bennu", "serve"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)  # noqa: S603
    headers = {"authorization": f"Bearer {ADMIN_SECRET}"}
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120
        ) as client:
            for _ in range(300):
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == httpx.codes.OK:
                        break
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait()


def measured(client: httpx.Client, path: str, params: dict[str, Any]) -> tuple[float, float, int]:
    """Return median and 95th percentile in milliseconds, and the number of rows."""
    milliseconds = []
    answer = client.get(path, params=params)
    for number in range(WARM_UP + REPEATS):
        began = time.perf_counter()
        answer = client.get(path, params=params)
        if number >= WARM_UP:
            milliseconds.append((time.perf_counter() - began) * 1000)
        if sum(milliseconds) > 10_000:  # noqa: PLR2004 - enough of a slow one
            break
    rows = -answer.status_code if answer.is_error else len(answer.json()["data"])
    percentile = statistics.quantiles(milliseconds, n=20)[-1] if len(milliseconds) > 1 else 0
    return statistics.median(milliseconds), percentile, rows


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--sqlite", help="path of the database file")
    where.add_argument("--postgres", help="postgresql://user:password@host/name")
    parser.add_argument("--only", default="", help="part of the names to measure")
    arguments = parser.parse_args()
    url = arguments.postgres or f"sqlite:///{Path(arguments.sqlite).resolve()}"
    with started(url) as client:
        rows = client.get(f"{PROJECT}/spans", params={"name": "call_tool", "limit": 1}).json()
        newest = client.get(f"{PROJECT}/sessions", params={"order": "desc", "limit": 1}).json()
        session = newest["data"][0]["session_id"]
        for name, path, params in queries(rows["data"][0], session):
            if arguments.only in name:
                median, percentile, count = measured(client, path, params)
                print(f"{name:34} {median:9.2f} {percentile:9.2f} {count:6}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
