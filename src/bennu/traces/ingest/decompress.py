"""Undoing the compression of a request body within a bound.

The bound is enforced while inflating: a small body that claims to be a large one never takes
more memory than the bound and one step of the decoder.

Source: RFC 9110 section 8.4, RFC 1950-1952, RFC 8878.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final

import zstandard

from bennu.kernel.errors import MalformedError, TooLargeError, UnsupportedMediaError

_GZIP_WINDOW_BITS: Final = 31
_ZLIB_WINDOW_BITS: Final = 15
_RAW_WINDOW_BITS: Final = -15
_DEFLATE_METHOD: Final = 8
#: What is not small is inflated in steps: the decoder itself would take up to three times what
#: it returns, and copies what is left of its input at each step and each member.
_INPUT_STEP_BYTES: Final = 4_096
_OUTPUT_STEP_BYTES: Final = 4_194_304
#: A zstd block of 4 bytes can stand for 128 KB; a step therefore inflates to 8 MB at most.
_ZSTD_STEP_BYTES: Final = 256
_ZSTD_WINDOW_BYTES: Final = 8_388_608


def decompress_body(body: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """Return the body as it was before it was compressed.

    Args:
        body: as received.
        content_encoding: the header's value, empty when absent; any case.
        limit_bytes: what the result may hold.

    Raises:
        MalformedError: the body is not what the header says, is cut short or has bytes behind it.
        TooLargeError: the result would exceed the limit.
        UnsupportedMediaError: an encoding other than identity, gzip, deflate, zstd.
    """
    encoding = content_encoding.strip().lower()
    if encoding in {"", "identity"}:
        return _bounded(body, limit_bytes)
    inflate = _DECODERS.get(encoding)
    if inflate is None:
        raise UnsupportedMediaError(
            "Unsupported content encoding; allowed are gzip, deflate, zstd and identity"
        )
    try:
        return inflate(body, limit_bytes)
    except (zlib.error, zstandard.ZstdError) as error:
        raise _broken(encoding, str(error)) from None


def _bounded(content: bytes, limit_bytes: int) -> bytes:
    if len(content) > limit_bytes:
        raise TooLargeError(f"The decompressed body is larger than {limit_bytes} bytes")
    return content


def _broken(encoding: str, detail: str) -> MalformedError:
    return MalformedError(f"The body is not valid {encoding}", detail=detail)


def _gunzip(body: bytes, limit_bytes: int) -> bytes:
    """Inflate one or more members.

    Source: RFC 1952 section 2.2, a file is a series of members.
    """
    inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
    content = inflater.decompress(body, min(limit_bytes + 1, _OUTPUT_STEP_BYTES))
    if inflater.eof and not inflater.unused_data:
        return _bounded(content, limit_bytes)
    parts = _Parts(limit_bytes)
    parts.add(content)
    body = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    for start in range(0, len(body), _INPUT_STEP_BYTES):
        rest = body[start : start + _INPUT_STEP_BYTES]
        while rest:
            if inflater.eof:
                inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
            parts.add(inflater.decompress(rest, parts.step_bytes))
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    _flush(inflater, parts)
    if not inflater.eof:
        raise _broken("gzip", "cut short")
    return parts.joined()


class _Parts:
    """What was inflated so far, never more than the limit and one step."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._room = limit_bytes
        self._parts: list[bytes] = []

    @property
    def step_bytes(self) -> int:
        """How much to inflate next: enough to notice that it is too much, and no more."""
        return min(self._room + 1, _OUTPUT_STEP_BYTES)

    def add(self, part: bytes) -> None:
        """Keep a part.

        Raises:
            TooLargeError: it is too much; what was kept is let go.
        """
        self._room -= len(part)
        if self._room < 0:
            self._parts.clear()
            raise TooLargeError(f"The decompressed body is larger than {self._limit} bytes")
        self._parts.append(part)

    def joined(self) -> bytes:
        return b"".join(self._parts)


def _flush(inflater: Any, parts: _Parts) -> None:  # noqa: ANN401 - zlib gives its type no name
    """Take what the decoder still holds after all input was given to it."""
    while not inflater.eof:
        part = inflater.decompress(b"", parts.step_bytes)
        if not part:
            return
        parts.add(part)


def _undeflate(body: bytes, limit_bytes: int) -> bytes:
    """Inflate the zlib format that the standard means by deflate, or the raw one some send."""
    has_header = (
        len(body) > 1
        and body[0] & 0x0F == _DEFLATE_METHOD
        and int.from_bytes(body[:2], "big") % 31 == 0
    )
    inflater = zlib.decompressobj(_ZLIB_WINDOW_BITS if has_header else _RAW_WINDOW_BITS)
    parts = _Parts(limit_bytes)
    parts.add(inflater.decompress(body, parts.step_bytes))
    body, rest = inflater.unconsumed_tail, b""
    for start in range(0, len(body), _INPUT_STEP_BYTES):
        rest = body[start : start + _INPUT_STEP_BYTES]
        while rest and not inflater.eof:
            parts.add(inflater.decompress(rest, parts.step_bytes))
            rest = inflater.unconsumed_tail
        if rest:
            break  # something follows the end
    _flush(inflater, parts)
    if not inflater.eof or inflater.unused_data or rest:
        raise _broken("deflate", "cut short or followed by other bytes")
    return parts.joined()


def _unzstd(body: bytes, limit_bytes: int) -> bytes:
    size_bytes = zstandard.frame_content_size(body)
    if size_bytes > limit_bytes:
        raise TooLargeError(f"The decompressed body is larger than {limit_bytes} bytes")
    window_bytes = max(_ZSTD_WINDOW_BYTES, limit_bytes)
    decoder = zstandard.ZstdDecompressor(max_window_size=window_bytes)
    parts: list[bytes] = []
    room_bytes = limit_bytes
    inflater = decoder.decompressobj()
    for start in range(0, len(body), _ZSTD_STEP_BYTES):
        rest = body[start : start + _ZSTD_STEP_BYTES]
        while rest:
            if inflater.eof:
                inflater = decoder.decompressobj()
            part = inflater.decompress(rest)
            room_bytes -= len(part)
            if room_bytes < 0:
                raise TooLargeError(f"The decompressed body is larger than {limit_bytes} bytes")
            parts.append(part)
            rest = inflater.unused_data
    if not inflater.eof:
        raise _broken("zstd", "cut short")
    return b"".join(parts)


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "zstd": _unzstd,
}
