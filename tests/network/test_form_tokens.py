"""Tokens of forms belong to the session that the form was shown to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.errors import DeniedError
from bennu.kernel.ids import SystemEntropy
from bennu.network.form_tokens import FormTokens


def tokens(key: bytes = b"k" * 32) -> FormTokens:
    made = FormTokens(SystemEntropy())
    made.use_key(key)
    return made


def test_a_token_is_good_for_its_session_alone() -> None:
    token = tokens().make_form_token("session-1")
    tokens().check_form_token("session-1", token)
    for session in ("session-2", "", "session-1 "):
        with pytest.raises(DeniedError):
            tokens().check_form_token(session, token)
    with pytest.raises(DeniedError):
        tokens(b"x" * 32).check_form_token("session-1", token)


def test_no_two_pages_carry_the_same_token() -> None:
    assert len({tokens().make_form_token("s") for _ in range(50)}) == 50


@given(st.text(max_size=120))
def test_what_is_no_token_is_refused_and_nothing_else(text: str) -> None:
    with pytest.raises(DeniedError):
        tokens().check_form_token("s", text)


@given(st.integers(0, 63), st.sampled_from("Aa0_"))
def test_a_changed_character_is_noticed(place: int, other: str) -> None:
    token = tokens().make_form_token("s")
    changed = token[:place] + other + token[place + 1 :]
    if changed != token:
        with pytest.raises(DeniedError):
            tokens().check_form_token("s", changed)


def test_without_the_key_nothing_is_made() -> None:
    with pytest.raises(RuntimeError):
        FormTokens(SystemEntropy()).make_form_token("s")
