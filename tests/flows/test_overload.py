"""More than the server can take: bounded memory, refusals that say when, and nothing lost.

Source: OTLP 1.x, "OTLP/HTTP Throttling". Decision 6.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from started import StartedServer

MEGABYTE = 1_000_000
PAGE_BYTES = 4_096


def template(span_count: int, text_bytes: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for _ in range(span_count):
        span = spans.add(name="big", start_time_unix_nano=1, end_time_unix_nano=2)
        span.attributes.add(key="input.value").value.string_value = "x" * text_bytes
    return request


@dataclass
class Clients:
    """Sends bodies over many connections and obeys what the server says."""

    port: int
    key: str
    request: ExportTraceServiceRequest
    statuses: Counter[int] = field(default_factory=Counter)
    without_wait: int = 0
    sent: int = 0

    def body(self, client: int, number: int) -> bytes:
        for place, span in enumerate(self.request.resource_spans[0].scope_spans[0].spans):
            span.trace_id = client.to_bytes(8, "big") + (number + 1).to_bytes(8, "big")
            span.span_id = (client * 10_000_000 + number * 10_000 + place + 1).to_bytes(8, "big")
        return self.request.SerializeToString()

    async def run(self, clients: int, seconds: float) -> None:
        ends = time.monotonic() + seconds
        await asyncio.gather(*(self._one(client, ends) for client in range(clients)))

    async def _one(self, client: int, ends: float) -> None:
        number = 0
        while time.monotonic() < ends:
            body = self.body(client, number)
            while (wait := await self._send(body)) > 0:  # noqa: ASYNC110 - it was told to wait
                await asyncio.sleep(wait)
            number += 1
            self.sent += len(self.request.resource_spans[0].scope_spans[0].spans)

    async def _send(self, body: bytes) -> float:
        """Send once; return 0 when it was taken, else how long to wait."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (
            f"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/x-protobuf\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        except (ConnectionError, asyncio.IncompleteReadError):
            # Refused before the body was read: the answer may be lost with the connection.
            self.statuses[0] += 1
            return 1
        finally:
            writer.close()
        status = int(answer.split(b" ")[1])
        self.statuses[status] += 1
        if status == 200:
            return 0
        assert status == 503, answer
        if b"retry-after: " not in answer:
            self.without_wait += 1
        return 1


async def watch(pid: int, highest: list[int]) -> None:
    while True:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])  # noqa: ASYNC240 - no disk
        highest.append(pages * PAGE_BYTES)
        await asyncio.sleep(0.05)


def stored_spans(server: StartedServer, key: str) -> int:
    client, count, cursor = server.client(key), 0, None
    while True:
        params = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
        answer = client.get("/v1/projects/default/spans", params=params).json()
        count += len(answer["data"])
        cursor = answer["next_cursor"]
        if cursor is None:
            return count


async def overload(
    server: StartedServer, clients: int, seconds: float, spans: int, text_bytes: int
) -> tuple[Clients, int]:
    many = Clients(server.port, server.api_key(), template(spans, text_bytes))
    highest: list[int] = []
    watching = asyncio.create_task(watch(server.pid, highest))
    await many.run(clients, seconds)
    watching.cancel()
    return many, max(highest)


async def test_refusals_say_when_and_nothing_is_lost(tmp_path: Path) -> None:
    env = {"PHOENIX_MAX_SPANS_QUEUE_SIZE": "100"}
    with StartedServer(tmp_path, env) as server:
        many, _ = await overload(server, 24, 3, 60, 200)
        assert many.statuses[503] > 0
        assert many.without_wait == 0
        assert stored_spans(server, server.api_key()) == many.sent


@pytest.mark.soak
async def test_two_hundred_clients_with_bodies_of_four_megabytes(tmp_path: Path) -> None:
    with StartedServer(tmp_path) as server:
        many, highest = await overload(server, 200, 30, 400, 10_000)
        print(  # noqa: T201 - the result of a long run
            f"{many.sent} spans, {dict(many.statuses)}, at most {highest / MEGABYTE:.0f} MB"
        )
        assert highest < 300 * MEGABYTE
        assert many.without_wait == 0
        assert stored_spans(server, server.api_key()) == many.sent
