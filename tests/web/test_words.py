"""Values as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.web.words import (
    clipped,
    count_words,
    duration_words,
    plural,
    time_exact,
    time_words,
)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 µs"),
        (999, "0 µs"),
        (840_000, "840 µs"),
        (1_000_000, "1 ms"),
        (12_340_000, "12.3 ms"),
        (999_000_000, "999 ms"),
        (4_521_000_000, "4.52 s"),
        (59_000_000_000, "59 s"),
        (125_000_000_000, "2 m 5 s"),
        (7_260_000_000_000, "2 h 1 m"),
        (-4_000_000, "-4 ms"),
    ],
)
def test_durations(nanoseconds: int, text: str) -> None:
    assert duration_words(nanoseconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (9_876, "9,876"),
        (12_345, "12.3k"),
        (4_500_000, "4.5M"),
        (2e9, "2.0B"),
    ],
)
def test_counts(count: float, text: str) -> None:
    assert count_words(count) == text


def test_times_are_utc() -> None:
    assert time_words(1_764_021_909_000_001) == "2025-11-24 22:05:09"
    assert time_exact(1_764_021_909_000_001) == "2025-11-24T22:05:09.000001Z"


def test_nouns_follow_their_number() -> None:
    assert [plural(n, "trace", "traces") for n in (0, 1, 2_000)] == [
        "0 traces",
        "1 trace",
        "2,000 traces",
    ]


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_a_clipped_text_fits_on_its_line(text: str, characters: int) -> None:
    short = clipped(text, characters)
    assert len(short) <= characters
    assert "\n" not in short


class Endless(str):
    """A text that must not be gone through as a whole."""

    __slots__ = ()

    def split(self, *_: object) -> list[str]:
        raise AssertionError


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    assert clipped(Endless("ab " * 1_000_000), 6) == "ab ab…"
    assert clipped("ab" + " " * 1_000_000 + "cd", 6) == "ab…"
