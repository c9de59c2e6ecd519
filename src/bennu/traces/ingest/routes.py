"""``POST /v1/traces``: OTLP over HTTP.

Source: OTLP 1.x, "OTLP/HTTP"; data-plane contract, section 2.1. Decision 5.
"""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.httpio.request import BODY_SECONDS, body_in_time, caller_of
from bennu.httpio.route import Route
from bennu.kernel.errors import TooLargeError, UnsupportedMediaError
from bennu.traces.ingest.acknowledge import json_acknowledgement, protobuf_acknowledgement
from bennu.traces.ingest.buffer import IngestBuffer, Reservation
from bennu.traces.ingest.decompress import decompress_body
from bennu.traces.ingest.otlp import JSON, PROTOBUF, decode_export
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.model import DecodedExport

_MEDIA_TYPES: Final = (PROTOBUF, JSON)
#: So much of what was only announced has room kept for it. Most bodies are smaller and wait for no
#: more room; who announces much and sends nothing keeps others out no longer.
ANNOUNCED_BYTES: Final = 1024 * 1024


def export_routes(
    buffer: IngestBuffer, settings: TracesSettings, *, body_seconds: float = BODY_SECONDS
) -> tuple[Route, ...]:
    """Return the route that takes traces; ``body_seconds`` is how long a body may take."""

    async def export(request: Request) -> Response:
        media_type = _media_type_of(request)
        encoding = request.headers.get("content-encoding", "")
        with buffer.reserve() as room:
            async with body_in_time(body_seconds):
                chunks = await _received_chunks(request, room, settings.max_body_bytes)
            decoded = None
            if chunks:
                decode = partial(
                    _decode,
                    chunks,
                    media_type,
                    encoding,
                    _header_project(request),
                    settings.max_decompressed_bytes,
                )
                form = f"{media_type} {encoding[:20]}"
                decoded = await buffer.take_export(room, decode, caller_of(request), form)
        content = (
            json_acknowledgement(decoded)
            if media_type == JSON
            else protobuf_acknowledgement(decoded)
        )
        return Response(content, media_type=media_type)

    return (
        Route(
            method="POST",
            path="/v1/traces",
            handler=export,
            permission=Permission.TRACES_INGEST,
            summary="Take traces over OTLP, protobuf or JSON; answered when they are stored",
            responses_media=PROTOBUF,
            no_event="ingest is what the server is for; every span keeps its sender",
            errors=(413, 415),
            tags=("traces",),
        ),
    )


def _media_type_of(request: Request) -> str:
    """Return the content type without its parameters.

    Raises:
        UnsupportedMediaError: it is neither protobuf nor JSON.
    """
    sent = request.headers.get("content-type", "")
    media_type = sent.partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise UnsupportedMediaError(
            f"Unsupported content type: {sent[:200]}; allowed are {' and '.join(_MEDIA_TYPES)}"
        )
    return media_type


def _header_project(request: Request) -> str | None:
    """Return ``x-project-name``; header bytes are read as UTF-8 where they are that."""
    sent = request.headers.get("x-project-name")
    if sent is None or sent.isascii():
        return sent
    try:
        return sent.encode("latin-1").decode()
    except UnicodeDecodeError:
        return sent


async def _received_chunks(request: Request, room: Reservation, limit_bytes: int) -> list[bytes]:
    """Read the body; its bytes are counted before they are kept.

    Returns:
        The pieces as they came, none of them empty. They are put together only when their turn
        comes to be decoded: until then a copy would double what waiting requests take.

    Raises:
        TooLargeError: it is longer than the limit, as announced or as received.
        UnavailableError: the queue has no room for it.
    """
    header = request.headers.get("content-length", "")
    announced = int(header) if header.isascii() and header.isdecimal() else 0
    _refuse_longer(announced, limit_bytes)
    room.grow(min(announced, ANNOUNCED_BYTES))
    chunks: list[bytes] = []
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        _refuse_longer(received, limit_bytes)
        wanted = max(received, min(announced, received + ANNOUNCED_BYTES))
        if wanted > room.byte_count:
            room.grow(wanted - room.byte_count)
        if chunk:
            chunks.append(chunk)
    return chunks


def _refuse_longer(byte_count: int, limit_bytes: int) -> None:
    if byte_count > limit_bytes:
        raise TooLargeError(f"The body is larger than {limit_bytes} bytes")


def _decode(
    chunks: list[bytes],
    media_type: str,
    encoding: str,
    header_project: str | None,
    limit_bytes: int,
) -> DecodedExport:
    content = decompress_body(b"".join(chunks), encoding, limit_bytes)
    return decode_export(content, media_type, header_project)
