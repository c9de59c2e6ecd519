"""OTLP over gRPC: ``TraceService/Export``, and the one table from errors to gRPC status.

The handler takes raw bytes, so that a broken protobuf is our INVALID_ARGUMENT and not an internal
error of the library. Clients send again what meets RESOURCE_EXHAUSTED or UNAVAILABLE; what can
never succeed must therefore be something else.

Source: OTLP 1.x, "OTLP/gRPC Response"; google.rpc.RetryInfo; data-plane contract, section 2.2.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

from bennu.access import Caller
from bennu.kernel.errors import (
    AppError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
    TooManyError,
    UnauthenticatedError,
    UnavailableError,
)
from bennu.traces.ingest.acknowledge import protobuf_acknowledgement
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.ingest.otlp import PROTOBUF, decode_protobuf

logger: Final = logging.getLogger("bennu.traces.ingest")

SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
METHOD: Final = "Export"
_FORM: Final = f"{PROTOBUF} grpc"
_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"

#: First match decides.
GRPC_STATUS_OF: Final[tuple[tuple[type[AppError], grpc.StatusCode], ...]] = (
    (InvalidError, grpc.StatusCode.INVALID_ARGUMENT),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (DeniedError, grpc.StatusCode.PERMISSION_DENIED),
    (NotFoundError, grpc.StatusCode.NOT_FOUND),
    (ConflictError, grpc.StatusCode.ALREADY_EXISTS),
    (TooManyError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE),
)
_RETRIED: Final = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


def grpc_status_of(error: AppError) -> grpc.StatusCode:
    """Return the gRPC status for an error of the application."""
    for kind, status in GRPC_STATUS_OF:
        if isinstance(error, kind):
            return status
    return grpc.StatusCode.INTERNAL


async def refuse_call(context: "grpc.aio.ServicerContext[Any, Any]", error: AppError) -> None:
    """End a call with the status of an error, and with the time to wait where waiting helps."""
    status = grpc_status_of(error)
    trailer: tuple[tuple[str, bytes], ...] = ()
    if status in _RETRIED:
        trailer = retry_trailer(status, error.public, error.retry_after_seconds or 1)
    await context.abort(status, error.public, trailer)


def retry_trailer(
    status: grpc.StatusCode, message: str, seconds: float
) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that carries a ``RetryInfo``.

    Both are written by hand from their two fields each, since the messages themselves come in a
    package that nothing else here needs.
    """
    retry_info = _field(1, Duration(seconds=ceil(seconds)).SerializeToString())
    detail = AnyMessage(type_url=_RETRY_INFO, value=retry_info).SerializeToString()
    number: int = status.value[0]
    rpc_status = bytes((1 << 3, number)) + _field(2, message.encode()) + _field(3, detail)
    return (
        ("grpc-status-details-bin", rpc_status),
        ("google.rpc.retryinfo-bin", retry_info),
    )


def _field(number: int, content: bytes) -> bytes:
    """Write one length-delimited field of protobuf, of less than 16 KiB."""
    length = len(content)
    size = bytes((length,)) if length < 0x80 else bytes((length & 0x7F | 0x80, length >> 7))  # noqa: PLR2004 - varint
    return bytes((number << 3 | 2,)) + size + content


class TraceService:
    """The service that exporters call.

    Args:
        buffer: takes the spans.
        caller_of_call: tells who makes the call that is being handled; the gate found it out.
        admit: raises TooManyError where the caller exceeds a rate limit; None for no limits.
        on_denied: told who may not do what it asked for; None for nobody.
    """

    def __init__(
        self,
        buffer: IngestBuffer,
        caller_of_call: Callable[[], Caller],
        admit: Callable[[Caller], Awaitable[None]] | None = None,
        on_denied: Callable[[Caller, AppError], Awaitable[None]] | None = None,
    ) -> None:
        self._buffer = buffer
        self._caller_of_call = caller_of_call
        self._admit, self._on_denied = admit, on_denied

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server takes with ``add_generic_rpc_handlers``."""
        method = grpc.unary_unary_rpc_method_handler(
            self.export, request_deserializer=None, response_serializer=None
        )
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})

    async def export(
        self, request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> bytes:
        """Store one export request; answer when it is on the disk."""
        # Gathered, so that a defect too ends in a status of ours: the library would send its text.
        (outcome,) = await asyncio.gather(self._store(request), return_exceptions=True)
        if isinstance(outcome, DeniedError) and self._on_denied is not None:
            await self._on_denied(self._caller_of_call(), outcome)
        if isinstance(outcome, AppError):
            await refuse_call(context, outcome)
        elif isinstance(outcome, BaseException):
            logger.error("grpc.export.failed", exc_info=outcome)
            await context.abort(grpc.StatusCode.INTERNAL, "Internal error")
        else:
            return outcome
        raise AssertionError("an aborted call does not come here")

    async def _store(self, request: bytes) -> bytes:
        caller = self._caller_of_call()
        if self._admit is not None:
            await self._admit(caller)
        if not request:
            return b""
        with self._buffer.reserve() as room:
            room.grow(len(request))
            decoded = await self._buffer.take_export(
                room, partial(decode_protobuf, request, None), caller, _FORM
            )
        return protobuf_acknowledgement(decoded)
