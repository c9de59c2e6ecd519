"""Nothing that a client sent can start a line. Source: OWASP ASVS 5.0 V16.4.1."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.log_text import json_on_one_line, storable


@pytest.mark.asvs("1.2.3")
@given(st.dictionaries(st.text(), st.text()))
def test_json_stays_the_same_and_one_line(fields: dict[str, str]) -> None:
    line = json_on_one_line(msgspec.json.encode(fields).decode())
    assert json.loads(line) == fields
    assert len((line + "\n").splitlines()) == 1


@pytest.mark.parametrize("point", [0x7F, 0x85, 0x9B, 0xA0, 0x2028, 0x2029, 0x202E, 0x2066, 0xFEFF])
def test_separators_controls_and_changes_of_direction_are_escaped(point: int) -> None:
    assert json_on_one_line(f'"a{chr(point)}b"') == f'"a\\u{point:04x}b"'


@pytest.mark.parametrize("text", ["Müller", "日本語", "\U0001f600", "a b"])
def test_what_people_read_stays_readable(text: str) -> None:
    assert json_on_one_line(f'"{text}"') == f'"{text}"'


def test_a_database_can_hold_what_is_left() -> None:
    assert storable("a\0b\ud800c", 100) == "a\ufffdb?c"
    assert storable("abcdef", 3) == "abc"


@pytest.mark.asvs("1.3.3")
@given(st.text(st.characters(codec=None)), st.integers(0, 50))
def test_it_is_bounded_and_can_be_encoded(text: str, most: int) -> None:
    kept = storable(text, most)
    assert len(kept) <= most
    assert "\0" not in kept
    kept.encode()
