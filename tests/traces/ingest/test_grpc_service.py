"""OTLP over gRPC, called over a real channel. Contract: section 2.2."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sqlalchemy import select

from bennu.access import EVERYBODY, VIEWER, Caller
from bennu.kernel.errors import (
    AppError,
    ConflictError,
    DeniedError,
    InvalidError,
    MalformedError,
    NotFoundError,
    TooLargeError,
    TooManyError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaError,
)
from bennu.storage.database import Database
from bennu.storage.schema import projects, spans
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.ingest.grpc_service import (
    METHOD,
    SERVICE,
    TraceService,
    grpc_status_of,
    retry_trailer,
)
from bennu.traces.settings import TracesSettings
from fakes.exports import export_request
from fakes.principals import key_for_projects, user_with_role

Status = grpc.StatusCode


@dataclass
class Exporter:
    """Sends raw requests; what the gate would find out about the caller is ``caller``."""

    port: int = 0
    caller: Caller = field(default_factory=lambda: Caller(EVERYBODY))
    fault: Exception | None = None

    def caller_of_call(self) -> Caller:
        if self.fault is not None:
            raise self.fault
        return self.caller

    async def export(self, request: bytes, method: str = METHOD, compression: Any = None) -> bytes:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/{method}")
            answer: bytes = await call(request, timeout=20, compression=compression)
            return answer

    async def refused(self, request: bytes, method: str = METHOD) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.export(request, method)
        return caught.value


@pytest.fixture
async def exporter(buffer: IngestBuffer) -> AsyncIterator[Exporter]:
    exporter = Exporter()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((TraceService(buffer, exporter.caller_of_call).handler(),))
    exporter.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield exporter
    await server.stop(0)


async def stored_names(database: Database) -> list[str]:
    return await database.read(
        lambda c: [str(name) for name in c.execute(select(spans.c.name)).scalars()]
    )


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
async def test_export(exporter: Exporter, database: Database, compression: Any) -> None:
    assert await exporter.export(export_request(1, 2), compression=compression) == b""
    assert await stored_names(database) == ["span 1", "span 2"]
    assert await exporter.export(b"") == b""


async def test_unusable_spans_are_told(exporter: Exporter, database: Database) -> None:
    answer = await exporter.export(export_request(1, 0))
    told = ExportTraceServiceResponse.FromString(answer).partial_success
    assert told.rejected_spans == 1
    assert "span id" in told.error_message
    assert await stored_names(database) == ["span 1"]


async def test_a_broken_protobuf_is_never_sent_again(exporter: Exporter) -> None:
    assert (await exporter.refused(b"\x0a\xff\xff")).code() is Status.INVALID_ARGUMENT


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=10)])
async def test_a_full_queue(exporter: Exporter, buffer: IngestBuffer) -> None:
    with buffer.reserve() as room:
        room.grow(10)
        error = await exporter.refused(export_request(1))
    assert error.code() is Status.UNAVAILABLE
    assert error.details() == "Server is at capacity and cannot process more requests"
    trailer = dict(error.trailing_metadata() or ())
    retry_info = trailer["google.rpc.retryinfo-bin"]
    assert isinstance(retry_info, bytes)
    assert Duration.FromString(retry_info[2:]).seconds == 1


async def test_who_may(exporter: Exporter, database: Database) -> None:
    await exporter.export(export_request(1, project="mine"))
    exporter.caller = Caller(user_with_role(VIEWER))
    assert (await exporter.refused(export_request(2))).code() is Status.PERMISSION_DENIED
    row = await database.read(
        lambda c: c.execute(select(projects.c.id).where(projects.c.name == "mine")).scalar_one()
    )
    exporter.caller = Caller(key_for_projects(row))
    await exporter.export(export_request(2, project="mine"))
    error = await exporter.refused(export_request(3, project="new"))
    assert error.code() is Status.PERMISSION_DENIED
    assert await stored_names(database) == ["span 1", "span 2"]


@pytest.mark.asvs("16.5.1")
async def test_a_defect_tells_nothing(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    exporter.fault = KeyError("what nobody should read")
    error = await exporter.refused(export_request(1))
    assert (error.code(), error.details()) == (Status.INTERNAL, "Internal error")
    assert "grpc.export.failed" in caplog.text


async def test_other_methods(exporter: Exporter) -> None:
    assert (await exporter.refused(b"", "Other")).code() is Status.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (InvalidError, Status.INVALID_ARGUMENT),
        (MalformedError, Status.INVALID_ARGUMENT),
        (TooLargeError, Status.INVALID_ARGUMENT),
        (UnsupportedMediaError, Status.INVALID_ARGUMENT),
        (UnauthenticatedError, Status.UNAUTHENTICATED),
        (DeniedError, Status.PERMISSION_DENIED),
        (NotFoundError, Status.NOT_FOUND),
        (ConflictError, Status.ALREADY_EXISTS),
        (TooManyError, Status.RESOURCE_EXHAUSTED),
        (UnavailableError, Status.UNAVAILABLE),
        (AppError, Status.INTERNAL),
    ],
)
def test_status_of_each_kind(kind: type[AppError], status: Status) -> None:
    assert grpc_status_of(kind("x")) is status


def test_the_time_to_wait_as_the_protocol_writes_it() -> None:
    """Read back with the messages themselves, which come with the exporters."""
    for message in ("short", "long " * 60):
        trailer = dict(retry_trailer(Status.UNAVAILABLE, message, 1.2))
        status = status_pb2.Status.FromString(trailer["grpc-status-details-bin"])
        assert (status.code, status.message) == (14, message)
        info = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert info.retry_delay.seconds == 2
        assert info == error_details_pb2.RetryInfo.FromString(trailer["google.rpc.retryinfo-bin"])
