"""Undoing the compression of a request body within a bound.

The bound is enforced while inflating: a small body that claims to be a large one never takes
more memory than the bound and one step of the decoder.

Source: RFC 9110 section 8.4, RFC 1950-1952, RFC 8878.
"""

import zlib
from collections.abc import Callable
from typing import Final

import zstandard

from bennu.kernel.errors import MalformedError, TooLargeError, UnsupportedMediaError

_GZIP_WINDOW_BITS: Final = 31
_ZLIB_WINDOW_BITS: Final = 15
_RAW_WINDOW_BITS: Final = -15
_DEFLATE_METHOD: Final = 8
#: Bodies of many gzip members are read in steps, as each member copies what is left of its step.
_MEMBER_STEP_BYTES: Final = 4_096
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
    inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
    content = _bounded(inflater.decompress(body, limit_bytes + 1), limit_bytes)
    if not inflater.eof:
        raise _broken("gzip", "cut short")
    if not inflater.unused_data:
        return content
    return content + _gunzip_members(inflater.unused_data, limit_bytes - len(content))


def _gunzip_members(body: bytes, limit_bytes: int) -> bytes:
    """Inflate one or more further members.

    Source: RFC 1952 section 2.2, a file is a series of members.
    """
    parts: list[bytes] = []
    room_bytes = limit_bytes
    inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
    for start in range(0, len(body), _MEMBER_STEP_BYTES):
        rest = body[start : start + _MEMBER_STEP_BYTES]
        while rest:
            if inflater.eof:
                inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
            part = inflater.decompress(rest, room_bytes + 1)
            room_bytes -= len(part)
            if room_bytes < 0:
                raise TooLargeError(f"The decompressed body is larger than {limit_bytes} bytes")
            parts.append(part)
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise _broken("gzip", "cut short")
    return b"".join(parts)


def _undeflate(body: bytes, limit_bytes: int) -> bytes:
    """Inflate the zlib format that the standard means by deflate, or the raw one some send."""
    has_header = (
        len(body) > 1
        and body[0] & 0x0F == _DEFLATE_METHOD
        and int.from_bytes(body[:2], "big") % 31 == 0
    )
    inflater = zlib.decompressobj(_ZLIB_WINDOW_BITS if has_header else _RAW_WINDOW_BITS)
    content = _bounded(inflater.decompress(body, limit_bytes + 1), limit_bytes)
    if not inflater.eof or inflater.unused_data:
        raise _broken("deflate", "cut short or followed by other bytes")
    return content


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
