from datetime import UTC, datetime

import pytest

from bennu.traces.spans.model import (
    LATEST_NS,
    DecodedExport,
    Rejection,
    UnusableSpanError,
    indexed_text,
    text_without_nul,
    time_ns,
)


def test_nul_is_replaced_because_postgresql_cannot_keep_it() -> None:
    assert text_without_nul("a\0b") == "a\ufffdb"
    assert indexed_text("a\0b", "name") == "a\ufffdb"


def test_text_for_an_index_is_bounded_in_bytes_not_in_characters() -> None:
    assert indexed_text("x" * 2_000, "name") == "x" * 2_000
    with pytest.raises(UnusableSpanError, match="name is longer than 2000 bytes"):
        indexed_text("\N{FIRE}" * 501, "name")


def test_rejections_are_added_up() -> None:
    export = DecodedExport((), (Rejection("one"), Rejection("others", 4)), 0)
    assert export.rejected_count == 5


def test_a_time_beyond_64_bits_is_the_last_one() -> None:
    assert time_ns(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005_000
    assert time_ns(datetime.max.replace(tzinfo=UTC)) == LATEST_NS
    assert time_ns(datetime.min.replace(tzinfo=UTC)) == -LATEST_NS
