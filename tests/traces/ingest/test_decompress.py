import contextlib
import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.errors import AppError, MalformedError, TooLargeError, UnsupportedMediaError
from bennu.traces.ingest.decompress import decompress_body

LIMIT_BYTES = 100_000
BODY = b"the same words again and again " * 300
STREAMED = zstandard.ZstdCompressor(write_content_size=False)
COMPRESSED = {
    "gzip": gzip.compress(BODY, mtime=0),
    "x-gzip": gzip.compress(BODY, mtime=0),
    "deflate": zlib.compress(BODY),
    "zstd": zstandard.compress(BODY),
}
BOMB = bytes(50_000_000)
BOMBS = [
    ("gzip", gzip.compress(BOMB, mtime=0)),
    ("gzip", gzip.compress(b"x", mtime=0) + gzip.compress(BOMB, mtime=0)),
    ("gzip", gzip.compress(bytes(60_000), mtime=0) * 2),
    ("deflate", zlib.compress(BOMB)),
    ("zstd", zstandard.compress(BOMB)),
    ("zstd", STREAMED.compress(BOMB)),
    ("zstd", zstandard.compress(bytes(60_000)) * 2),
    ("identity", BOMB),
    ("", bytes(LIMIT_BYTES + 1)),
]


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_each_encoding_gives_the_body_back(encoding: str) -> None:
    assert decompress_body(COMPRESSED[encoding], encoding, LIMIT_BYTES) == BODY
    assert decompress_body(COMPRESSED[encoding], f" {encoding.upper()} ", len(BODY)) == BODY


def test_bodies_that_are_not_compressed_pass() -> None:
    assert decompress_body(BODY, "", LIMIT_BYTES) == BODY
    assert decompress_body(b"", "identity", LIMIT_BYTES) == b""


def test_other_dresses_of_the_same_body_are_taken() -> None:
    raw_deflate = zlib.compress(BODY)[2:-4]
    assert decompress_body(raw_deflate, "deflate", LIMIT_BYTES) == BODY
    assert decompress_body(STREAMED.compress(BODY), "zstd", LIMIT_BYTES) == BODY
    halves = BODY[:5_000], BODY[5_000:]
    for encoding, compress in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        several = b"".join(compress(half) for half in halves)
        assert decompress_body(several, encoding, LIMIT_BYTES) == BODY


def test_many_members_are_read_within_the_limit() -> None:
    many = b"".join(gzip.compress(BODY[at : at + 10], mtime=0) for at in range(0, len(BODY), 10))
    assert decompress_body(many, "gzip", LIMIT_BYTES) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_broken_bodies_are_refused(encoding: str) -> None:
    good = COMPRESSED[encoding]
    for broken in (b"", b"no", good[:-1], good[: len(good) // 2], good + b"more", b"\0" + good):
        with pytest.raises(MalformedError, match=f"not valid {encoding}"):
            decompress_body(broken, encoding, LIMIT_BYTES)


def test_a_further_member_cut_short_is_refused() -> None:
    with pytest.raises(MalformedError, match="not valid gzip"):
        decompress_body(COMPRESSED["gzip"] + COMPRESSED["gzip"][:-1], "gzip", LIMIT_BYTES)


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", "none"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaError, match="allowed are gzip"):
        decompress_body(BODY, encoding, LIMIT_BYTES)


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize(("encoding", "bomb"), BOMBS)
def test_bombs_stop_at_the_limit(encoding: str, bomb: bytes) -> None:
    with pytest.raises(TooLargeError, match="larger than"):
        decompress_body(bomb, encoding, LIMIT_BYTES)


def test_a_body_of_exactly_the_limit_passes() -> None:
    for encoding, body in COMPRESSED.items():
        assert len(decompress_body(body, encoding, len(BODY))) == len(BODY)
        with pytest.raises(TooLargeError):
            decompress_body(body, encoding, len(BODY) - 1)


@given(st.binary(max_size=200), st.sampled_from([*COMPRESSED, "", "br"]))
def test_any_bytes_give_bytes_or_a_refusal(body: bytes, encoding: str) -> None:
    with contextlib.suppress(AppError):
        assert len(decompress_body(body, encoding, 1_000)) <= 1_000


LARGE = bytes(range(256)) * 40_000 + BODY  # more than two steps of the decoder


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(LARGE, 1, mtime=0)),
        ("gzip", gzip.compress(LARGE[:7], mtime=0) + gzip.compress(LARGE[7:], 1, mtime=0)),
        ("gzip", gzip.compress(LARGE, 1, mtime=0) + gzip.compress(b"", mtime=0)),
        ("deflate", zlib.compress(LARGE, 1)),
        ("deflate", zlib.compress(LARGE, 1)[2:-4]),
        ("gzip", gzip.compress(bytes(4_194_304), mtime=0)),
        ("deflate", zlib.compress(bytes(4_194_304))),
    ],
)
def test_large_bodies_are_inflated_in_steps(encoding: str, body: bytes) -> None:
    limit = 20_000_000
    content = decompress_body(body, encoding, limit)
    assert content in {LARGE, bytes(4_194_304)}
    assert decompress_body(body, encoding, len(content)) == content
    with pytest.raises(TooLargeError):
        decompress_body(body, encoding, len(content) - 1)
    for broken in (body[:-1], body[: len(body) // 2], body + b"more" * 10_000):
        with pytest.raises(MalformedError):
            decompress_body(broken, encoding, limit)


@pytest.mark.parametrize(("encoding", "bomb"), BOMBS[:1] + BOMBS[3:6])
def test_a_bomb_never_takes_more_than_the_limit_and_a_step(encoding: str, bomb: bytes) -> None:
    limit = 20_000_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            decompress_body(bomb, encoding, limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit + 3 * 4_194_304
