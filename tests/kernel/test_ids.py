"""Public ids as existing clients send them, and randomness."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.ids import (
    SystemEntropy,
    equal_in_constant_time,
    global_id,
    parse_global_id,
    row_id_of,
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_known_form() -> None:
    """As in the samples of the contract: project 0."""
    assert global_id("Project", 0) == "UHJvamVjdDow"
    assert parse_global_id("UHJvamVjdDow") == ("Project", 0)


@given(st.from_regex("[A-Za-z]+", fullmatch=True), st.integers(0, 10**18 - 1))
def test_what_was_written_is_read(kind: str, row_id: int) -> None:
    text = global_id(kind, row_id)
    assert parse_global_id(text) == (kind, row_id)
    assert row_id_of(text, kind) == row_id
    assert row_id_of(text, kind + "x") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "UHJvamVjdDow=", "UHJvamVjdDow\n", "UHJv amVjdDow", "é", "====", "\0"),
        *map(
            encoded,
            ("Project", "Project:", ":1", "Project:-1", "Project:1:2", "Project:1 ", "Project:01"),
        ),
        *map(
            encoded,
            ("Project:1\n", "Pro ject:1", "Project:\u0661", "Projekt\u00e9:1", "Project:0x1"),
        ),
        encoded("Project:" + "9" * 19),
    ],
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert parse_global_id(text) is None
    assert row_id_of(text, "Project") is None


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    parse_global_id(text)


def test_equality_is_that_of_bytes() -> None:
    assert equal_in_constant_time(b"abc", b"abc")
    assert not equal_in_constant_time(b"abc", b"abd")
    assert not equal_in_constant_time(b"abc", b"abcd")
    assert equal_in_constant_time(b"", b"")


@pytest.mark.asvs("7.2.3")
def test_the_systems_generator_gives_as_much_as_was_asked_for_and_never_the_same() -> None:
    entropy = SystemEntropy()
    drawn = [entropy.bytes(16) for _ in range(1_000)]
    assert {len(some) for some in drawn} == {16}
    assert len(set(drawn)) == len(drawn)
    assert entropy.bytes(0) == b""
