"""The answer to an export request: nothing when all was stored, else what was refused and why.

Source: OTLP 1.x, "Partial Success"; proto3 JSON mapping (64-bit numbers as texts).
"""

from typing import Final

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from bennu.traces.spans.model import DecodedExport

#: Different reasons told in one answer; a broken sender repeats itself.
_MOST_REASONS: Final = 5
_MOST_CHARACTERS: Final = 2_000


def rejection_message(decoded: DecodedExport) -> str:
    """Say why spans were refused, each reason once, the first few of them."""
    reasons = list(dict.fromkeys(rejection.reason for rejection in decoded.rejected))
    shown = "; ".join(reasons[:_MOST_REASONS])
    if len(reasons) > _MOST_REASONS:
        shown += f"; and {len(reasons) - _MOST_REASONS} further reasons"
    return shown[:_MOST_CHARACTERS]


def protobuf_acknowledgement(decoded: DecodedExport | None) -> bytes:
    """Return an ``ExportTraceServiceResponse``; 0 bytes when nothing was refused."""
    if decoded is None or not decoded.rejected:
        return b""
    response = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(
            rejected_spans=decoded.rejected_count, error_message=rejection_message(decoded)
        )
    )
    content: bytes = response.SerializeToString()
    return content


def json_acknowledgement(decoded: DecodedExport | None) -> bytes:
    """Return the same as OTLP/JSON; an empty object when nothing was refused."""
    if decoded is None or not decoded.rejected:
        return b"{}"
    partial_success = {
        "rejectedSpans": str(decoded.rejected_count),
        "errorMessage": rejection_message(decoded),
    }
    return msgspec.json.encode({"partialSuccess": partial_success})
