"""Measure a server of this checkout: start, memory, requests, durable ingest, loss at a kill.

    make bench                                        # SQLite, about two minutes
    .venv/bin/python tools/bench.py --database URL    # an empty PostgreSQL database
    .venv/bin/python tools/bench.py --seconds 10 --json out.json

The server is a process of its own with its defaults: every export is answered after its commit,
so what is accepted is stored, and that is counted afterwards. The client runs on the same cores.
Bodies are made before the clock starts. Requires what `make setup-test` installs.
"""

import argparse
import asyncio
import json
import os
import random  # noqa: TID251 - repeatable made-up data, no secret
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

sys.path[:0] = [str(Path(__file__).parent.parent / "tests")]
from started import StartedServer  # noqa: E402 - the folder of tests is no package

SPANS_PER_TRACE = 5
BATCHES = ((1, 16), (100, 4), (1_000, 2))  # spans per request, connections
WORDS = [f"word{number}" for number in range(4_000)]
TEXT_WORDS = 55
SECOND_NS = 1_000_000_000
_OK = b"HTTP/1.1 200"


def attributes_of(rng: random.Random) -> dict[str, str | int]:
    """Return about 2 kB, as an instrumented chat completion sends them."""

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=TEXT_WORDS))

    return {
        "openinference.span.kind": "LLM",
        "llm.provider": "example",
        "llm.model_name": rng.choice(["large", "small"]),
        "llm.invocation_parameters": '{"temperature": 0.2, "max_tokens": 512}',
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": text(),
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": text(),
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": text(),
        "llm.token_count.prompt": rng.randint(200, 900),
        "llm.token_count.completion": rng.randint(20, 300),
        "input.value": text(),
        "output.value": text(),
    }


def export_body(rng: random.Random, span_count: int) -> bytes:
    """Return one export request of new spans in traces of five."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    trace_id = parent = b""
    for number in range(span_count):
        if number % SPANS_PER_TRACE == 0:
            trace_id, parent = rng.randbytes(16), b""
        span = spans.add(trace_id=trace_id, span_id=rng.randbytes(8), name="ChatCompletion")
        span.parent_span_id = parent
        parent = parent or span.span_id
        span.start_time_unix_nano = int(time.time()) * SECOND_NS  # noqa: TID251 - when it is sent
        span.end_time_unix_nano = span.start_time_unix_nano + SECOND_NS // 2
        for key, value in attributes_of(rng).items():
            holder = span.attributes.add(key=key).value
            if isinstance(value, int):
                holder.int_value = value
            else:
                holder.string_value = value
    return request.SerializeToString()


def http(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    """Return a whole request."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {key}"]
    if body:
        lines += ["content-type: application/x-protobuf", f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def drive(port: int, requests: Iterator[bytes], connections: int) -> list[float]:
    """Send the requests over some connections; return how long each took, in seconds."""
    taken: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(_OK):
                raise SystemExit(f"unexpected answer: {head[:200]!r}")
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            taken.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return taken


def for_seconds(request: bytes, seconds: float) -> Iterator[bytes]:
    """Yield one request again and again."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        yield request


def timed(port: int, requests: Iterator[bytes], connections: int) -> tuple[float, list[float]]:
    """Run ``drive``; return seconds in all and of each."""
    began = time.perf_counter()
    taken = asyncio.run(drive(port, requests, connections))
    return time.perf_counter() - began, sorted(taken)


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the memory of a process, in 10^6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Bench:
    """One run against one server."""

    def __init__(self, server: StartedServer, seconds: float) -> None:
        self.server, self.seconds = server, seconds
        self.key = server.api_key()
        self.rows: list[tuple[str, str]] = []
        self.rng = random.Random(7)  # noqa: S311 - made-up data

    def say(self, name: str, value: str) -> None:
        """Note and print one figure."""
        self.rows.append((name, value))
        print(f"{name:<44} {value}", flush=True)

    def requests(self) -> None:
        """Small requests, over one connection and over many."""
        for path, key in (("/healthz", ""), ("/v1/projects", self.key)):
            for connections in (1, 32):
                request = http("GET", path, key)
                cpu = cpu_seconds(self.server.pid)
                seconds, taken = timed(
                    self.server.port, for_seconds(request, self.seconds), connections
                )
                used = (cpu_seconds(self.server.pid) - cpu) / len(taken) * 1e6
                p99 = taken[int(len(taken) * 0.99)] * 1e3
                name = f"GET {path}, {connections} connections"
                rate = len(taken) / seconds
                self.say(name, f"{rate:,.0f}/s, p99 {p99:.1f} ms, {used:.0f} us CPU")

    def ingest(self) -> None:
        """Durable ingest over HTTP, in batches of three sizes."""
        for size, connections in BATCHES:
            count = max(8, min(4_000, 12_000 // size))
            bodies = [export_body(self.rng, size) for _ in range(count)]
            records = [http("POST", "/v1/traces", self.key, body) for body in bodies]
            cpu = cpu_seconds(self.server.pid)
            seconds, taken = timed(self.server.port, iter(records), connections)
            spans = size * len(taken)
            used = (cpu_seconds(self.server.pid) - cpu) / spans * 1e6
            p99 = taken[int(len(taken) * 0.99)] * 1e3
            figures = f"{spans / seconds:,.0f} spans/s, p99 {p99:.0f} ms, {used:.0f} us CPU a span"
            self.say(f"ingest, {size} spans a request", figures)
        self.say("memory after ingest", f"{resident_mb(self.server.pid):.0f} MB")

    def loss(self) -> None:
        """SIGKILL in the middle of exports; what was acknowledged must be there afterwards."""
        bodies = [export_body(self.rng, 10) for _ in range(600)]
        acknowledged = asyncio.run(self._until_killed(bodies))
        self.server.start()
        found = sum(self._is_there(body) for body in acknowledged)
        lost = len(acknowledged) - found
        self.say("acknowledged exports lost at SIGKILL", f"{lost} of {len(acknowledged)}")

    async def _until_killed(self, bodies: list[bytes]) -> list[bytes]:
        acknowledged: list[bytes] = []
        waiting = iter(bodies)

        async def one() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                for body in waiting:
                    writer.write(http("POST", "/v1/traces", self.key, body))
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
                    await reader.readexactly(int(length))
                    acknowledged.append(body)
                    if len(acknowledged) == len(bodies) // 2:
                        self.server.kill()

        await asyncio.gather(*(one() for _ in range(8)))
        return acknowledged

    def _is_there(self, body: bytes) -> bool:
        spans = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
        query = [("span_id", span.span_id.hex()) for span in spans]
        answer = self.server.client(self.key).get("/v1/projects/default/spans", params=query)
        return len(answer.json()["data"]) == len(spans)


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description="Measure a server of this checkout.")
    parser.add_argument("--seconds", type=float, default=4, help="per kind of small request")
    parser.add_argument("--database", default="", help="address of an empty PostgreSQL database")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures there")
    options = parser.parse_args()
    env: dict[str, str] = {"PHOENIX_DISABLE_RATE_LIMIT": "true"}
    if options.database:
        env["PHOENIX_SQL_DATABASE_URL"] = options.database
    with tempfile.TemporaryDirectory(prefix="bennu-bench-") as folder:
        began = time.perf_counter()
        with StartedServer(Path(folder), env) as server:
            bench = Bench(server, options.seconds)
            bench.say("start to ready, with a new database", f"{time.perf_counter() - began:.2f} s")
            bench.say("memory when idle", f"{resident_mb(server.pid):.0f} MB")
            bench.requests()
            bench.ingest()
            bench.loss()
            rows: dict[str, Any] = dict(bench.rows)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
