"""How much the ingest takes before it says "later".

Spec: none; the bounds exist so that no client can exhaust the server.
"""

from dataclasses import dataclass
from typing import Final, Self

from bennu.kernel.env import Env, Variable

_MEBIBYTE: Final = 1024 * 1024
_MOST_BYTES: Final = 2**31 - 1  # what gRPC takes as the size of a message

VARIABLES: Final = (
    Variable(
        "PHOENIX_MAX_SPANS_QUEUE_SIZE",
        "whole number",
        "20000",
        "Spans that may wait for their commit; beyond it exporters are told to come back.",
    ),
    Variable(
        "PHOENIX_MAX_SPANS_QUEUE_BYTES",
        "whole number",
        str(32 * _MEBIBYTE),
        "Bytes of spans that may wait for their commit.",
    ),
    Variable(
        "PHOENIX_MAX_REQUEST_BODY_BYTES",
        "whole number",
        str(64 * _MEBIBYTE),
        "The largest export request, as it is sent.",
    ),
    Variable(
        "PHOENIX_MAX_DECOMPRESSED_BODY_BYTES",
        "whole number",
        str(128 * _MEBIBYTE),
        "The largest export request after decompression.",
    ),
)


@dataclass(frozen=True, slots=True)
class TracesSettings:
    """Bounds of the ingest; all are at least 1."""

    max_queue_spans: int = 20_000
    max_queue_bytes: int = 32 * _MEBIBYTE
    max_body_bytes: int = 64 * _MEBIBYTE
    max_decompressed_bytes: int = 128 * _MEBIBYTE

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the bounds."""
        return cls(
            max_queue_spans=env.whole("PHOENIX_MAX_SPANS_QUEUE_SIZE", 20_000, 1, 10_000_000),
            max_queue_bytes=env.whole("PHOENIX_MAX_SPANS_QUEUE_BYTES", 32 * _MEBIBYTE, 1, 2**40),
            max_body_bytes=env.whole(
                "PHOENIX_MAX_REQUEST_BODY_BYTES", 64 * _MEBIBYTE, 1, _MOST_BYTES
            ),
            max_decompressed_bytes=env.whole(
                "PHOENIX_MAX_DECOMPRESSED_BODY_BYTES", 128 * _MEBIBYTE, 1, _MOST_BYTES
            ),
        )
