"""OTLP over HTTP: forms, refusals, answers. Contract: section 2.1; samples 075-079."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.types import Receive, Scope, Send

from bennu.access import EVERYBODY, VIEWER, Caller
from bennu.httpio.dispatch import application_of
from bennu.httpio.request import CALLER
from bennu.storage.database import Database
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.ingest.routes import export_routes
from bennu.traces.projects.store import project_rows_named
from bennu.traces.settings import TracesSettings
from fakes.exports import PROTOBUF, export_request
from fakes.principals import key_for_projects, user_with_role

JSON_SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "b7ad6b7169203331",
    "name": "json",
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": "1544712661000000000",
}


def as_json(*given: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(given)}]}]}


async def export(client: httpx.AsyncClient, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/traces", content=body, headers={**PROTOBUF, **named})


async def names(client: httpx.AsyncClient, project: str = "default") -> list[str]:
    answer = await client.get(f"/v1/projects/{project}/spans", params={"order": "asc"})
    return [span["name"] for span in answer.json()["data"]]


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        (None, bytes),
        ("identity", bytes),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstandard.compress),
    ],
)
async def test_every_encoding(
    client: httpx.AsyncClient, encoding: str | None, compress: Any
) -> None:
    headers = {} if encoding is None else {"content-encoding": encoding}
    answer = await client.post(
        "/v1/traces", content=compress(export_request(1, 2)), headers={**PROTOBUF, **headers}
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert await names(client) == ["span 1", "span 2"]


async def test_json(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/traces", json=as_json(JSON_SPAN))
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json"
    assert await names(client) == ["json"]


async def test_chunked(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        body = export_request(1)
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    headers = {"content-type": "application/x-protobuf; charset=utf-8"}
    answer = await client.post("/v1/traces", content=chunks(), headers=headers)
    assert answer.status_code == 200
    assert await names(client) == ["span 1"]


async def test_projects(client: httpx.AsyncClient) -> None:
    await export(client, export_request(1, project="by resource"))
    await export(client, export_request(2, project="by resource"), x_project_name="by header")
    await export(client, export_request(3), x_project_name="")
    umlaut = {b"content-type": b"application/x-protobuf", b"x-project-name": "grün".encode()}
    await client.post("/v1/traces", content=export_request(4), headers=umlaut)
    latin = {
        b"content-type": b"application/x-protobuf",
        b"x-project-name": "gr\xfcn".encode("latin-1"),
    }
    await client.post("/v1/traces", content=export_request(5), headers=latin)
    assert await names(client, "by resource") == ["span 1"]
    assert await names(client, "by header") == ["span 2"]
    assert await names(client) == ["span 3"]
    assert await names(client, "grün") == ["span 4", "span 5"]


async def test_unusable_spans_are_told(client: httpx.AsyncClient) -> None:
    answer = await export(client, export_request(1, 0, 2))
    assert answer.status_code == 200
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert told.rejected_spans == 1
    assert "span id" in told.error_message
    assert await names(client) == ["span 1", "span 2"]
    broken = {**JSON_SPAN, "spanId": ""}
    answer = await client.post("/v1/traces", json=as_json(JSON_SPAN, broken))
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "span id" in partial["errorMessage"]


async def test_a_repeated_request_changes_nothing(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await export(client, export_request(1))).status_code == 200
    assert await names(client) == ["span 1"]


@pytest.mark.parametrize("media_type", ["application/x-protobuf", "application/json"])
async def test_an_empty_body(client: httpx.AsyncClient, media_type: str) -> None:
    answer = await client.post("/v1/traces", content=b"", headers={"content-type": media_type})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "text/plain"}, b"x", 415),
        ({}, b"x", 415),
        ({**PROTOBUF, "content-encoding": "br"}, b"x", 415),
        ({**PROTOBUF, "content-encoding": "gzip"}, b"zzzz", 400),
        (
            {**PROTOBUF, "content-encoding": "gzip"},
            gzip.compress(export_request(1), mtime=0)[:-9],
            400,
        ),
        (PROTOBUF, b"\x0a\xff\xff", 422),
        ({"content-type": "application/json"}, b"{", 400),
        ({"content-type": "application/json"}, b"[]", 422),
        ({**PROTOBUF, "x-project-name": "x" * 3000}, export_request(1), 422),
    ],
)
async def test_refused_for_good(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await client.post("/v1/traces", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text
    assert await names(client) == []


@pytest.mark.parametrize(
    "traces_settings", [TracesSettings(max_body_bytes=2_000, max_decompressed_bytes=3_000)]
)
async def test_too_large(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"\x00" * 500

    large = b"\x00" * 2_001
    assert (await export(client, large)).status_code == 413
    announced = httpx.Headers({**PROTOBUF, "content-length": "2001"})
    assert (await client.post("/v1/traces", content=b"", headers=announced)).status_code == 413
    assert (await client.post("/v1/traces", content=endless(), headers=PROTOBUF)).status_code == 413
    bomb = gzip.compress(b"\x00" * 3_001, mtime=0)
    assert (await export(client, bomb, content_encoding="gzip")).status_code == 413
    fits = gzip.compress(export_request(*range(1, 30)))
    assert (await export(client, fits, content_encoding="gzip")).status_code == 200


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=100)])
async def test_a_full_queue(client: httpx.AsyncClient, door: Any) -> None:
    with door.buffer.reserve() as room:
        room.grow(100)
        answer = await export(client, export_request(1))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.text == "Server is at capacity and cannot process more requests"
    assert (await export(client, export_request(1))).status_code == 200
    assert await names(client) == ["span 1"]


@pytest.mark.asvs("2.4.1")
@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=100)])
async def test_a_full_queue_refuses_before_the_body_is_read(
    client: httpx.AsyncClient, door: Any
) -> None:
    sent = 0

    async def slow() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(50):
            sent += 1
            yield b"\x00" * 100
            await asyncio.sleep(0)

    with door.buffer.reserve() as room:
        room.grow(90)
        answer = await client.post("/v1/traces", content=slow(), headers=PROTOBUF)
    assert answer.status_code == 503
    assert sent <= 1
    assert door.buffer.waiting_bytes == 0


async def test_who_may(client: httpx.AsyncClient, door: Any, database: Database) -> None:
    await export(client, export_request(1, project="mine"))
    rows = await database.read(lambda c: project_rows_named(c, ["mine"]))
    door.principal = user_with_role(VIEWER)
    answer = await export(client, export_request(2))
    assert (answer.status_code, answer.text) == (403, "Viewers cannot perform this action.")
    door.principal = key_for_projects(rows["mine"])
    assert (await export(client, export_request(2, project="mine"))).status_code == 200
    answer = await export(client, export_request(3, project="mine"), x_project_name="new")
    assert (answer.status_code, answer.text) == (403, "This key may not write to that project")
    assert (await export(client, export_request(4))).status_code == 403
    assert await database.read(lambda c: project_rows_named(c, ["new"])) == {}
    assert await names(client, "mine") == ["span 1", "span 2"]


async def dawdling(begun: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"\x0a"
    begun.set()
    await asyncio.sleep(20)
    yield b"\x00"


def client_with(
    buffer: IngestBuffer, settings: TracesSettings, body_seconds: float
) -> httpx.AsyncClient:
    (route,) = export_routes(buffer, settings, body_seconds=body_seconds)
    app = application_of((route,))

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = Caller(EVERYBODY)
        await app(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=admitted), base_url="http://test")


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=2_000_000)])
async def test_an_announcement_alone_keeps_nobody_out(
    buffer: IngestBuffer, traces_settings: TracesSettings
) -> None:
    headers = {**PROTOBUF, "content-length": "60000000"}
    async with client_with(buffer, traces_settings, 60) as opened:
        begun = asyncio.Event()
        body = dawdling(begun)
        idle = asyncio.create_task(opened.post("/v1/traces", content=body, headers=headers))
        await begun.wait()
        answer = await export(opened, export_request(1))
        idle.cancel()
    assert answer.status_code == 200


async def test_a_body_that_never_ends_gives_its_room_back(
    buffer: IngestBuffer, traces_settings: TracesSettings
) -> None:
    headers = {**PROTOBUF, "content-length": "1000"}
    async with client_with(buffer, traces_settings, 0.05) as opened:
        body = dawdling(asyncio.Event())
        answer = await opened.post("/v1/traces", content=body, headers=headers)
    assert (answer.status_code, answer.text) == (503, "The body took too long to arrive")
    assert buffer.waiting_bytes == 0
