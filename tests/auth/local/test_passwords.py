"""Rules and hashing of passwords."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from bennu.auth.local.passwords import MOST_WAITING, Passwords, common_passwords
from bennu.auth.settings import AuthSettings
from bennu.auth.sign_in_guard import UncheckedPasswordError
from bennu.kernel.errors import SchemaError
from bennu.kernel.secret import Secret

COMMON = common_passwords()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(AuthSettings(), COMMON)


@pytest.mark.asvs("6.2.4")
def test_the_list_of_common_passwords_is_long_enough() -> None:
    assert len(COMMON) >= 10_000


@pytest.mark.asvs("6.2.4")
@pytest.mark.parametrize(
    "text",
    [
        "short",
        "password1234",
        "Password1234!",
        "1qaz2wsx1qaz2wsx",
        "!!1qaz2wsx!!!!",
        "P@ssw0rd2026!",
        "qwertyuiop12",
        "aaaaaaaaaaaaaaa",
        "admin@localhost",
        "x" * 1025,
    ],
)
def test_weak_passwords_are_refused(passwords: Passwords, text: str) -> None:
    with pytest.raises(SchemaError) as refused:
        passwords.check_new(Secret(text), "admin@localhost", "admin")
    assert text not in str(refused.value)


@pytest.mark.asvs("6.2.5")
@pytest.mark.parametrize("text", ["correct horse battery", "ünï-cödé-pässwörd", "3jkX9-qwLm2-zzTp"])
def test_good_passwords_are_taken_without_composition_rules(
    passwords: Passwords, text: str
) -> None:
    passwords.check_new(Secret(text), "a@b.c", "somebody")


def test_the_strong_policy_asks_for_every_kind() -> None:
    strict = Passwords(AuthSettings(strong_password_policy=True), COMMON)
    with pytest.raises(SchemaError):
        strict.check_new(Secret("correct horse battery"))
    strict.check_new(Secret("Correct horse 7 battery!"))


@pytest.mark.asvs("6.2.8", "11.4.2")
@pytest.mark.anyio
async def test_a_hash_matches_its_password_only(passwords: Passwords) -> None:
    known = await passwords.hash(Secret("correct horse battery"))
    assert known.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.matches(Secret("correct horse battery"), known)
    assert not await passwords.matches(Secret("correct horse batterY"), known)
    assert not passwords.is_outdated(known)


@pytest.mark.anyio
async def test_however_composed_it_is_the_same_password(passwords: Passwords) -> None:
    known = await passwords.hash(Secret("pa\u0308sswo\u0308rd-long"))
    assert await passwords.matches(Secret("p\u00e4ssw\u00f6rd-long"), known)


@pytest.mark.anyio
async def test_nobody_has_a_password(passwords: Passwords) -> None:
    assert not await passwords.matches(Secret("anything at all"), None)
    assert not await passwords.matches(Secret("anything at all"), "not a hash")


@pytest.mark.anyio
async def test_an_imported_hash_matches_and_is_outdated(passwords: Passwords) -> None:
    salt = bytes(range(32))
    digest = hashlib.pbkdf2_hmac("sha256", b"imported password", salt, 10_000)
    known = f"pbkdf2${salt.hex()}${digest.hex()}"
    assert await passwords.matches(Secret("imported password"), known)
    assert not await passwords.matches(Secret("another password"), known)
    assert passwords.is_outdated(known)


@given(st.text())
def test_any_text_is_taken_or_refused_by_the_rules_own_error(text: str) -> None:
    passwords = Passwords(AuthSettings(), COMMON)
    with suppress(SchemaError):
        passwords.check_new(Secret(text), text)
    passwords.stop()


@pytest.mark.asvs("11.4.2")
async def test_a_hash_with_weaker_parameters_is_outdated(passwords: Passwords) -> None:
    older = PasswordHasher(1, 8192, 1).hash("correct horse battery")
    assert passwords.is_outdated(older)
    assert await passwords.matches(Secret("correct horse battery"), older)


@pytest.mark.asvs("6.2.1")
@pytest.mark.parametrize(("minimum", "text"), [(8, "kz4-qm9x"), (20, "kz4-qm9x-kz4-qm9x-!!")])
def test_the_shortest_password_is_a_setting(minimum: int, text: str) -> None:
    passwords = Passwords(AuthSettings(password_min_length=minimum), COMMON)
    passwords.check_new(Secret(text))
    with pytest.raises(SchemaError, match=f"at least {minimum} characters"):
        passwords.check_new(Secret(text[:-1]))


def test_a_refusal_names_the_field_that_it_is_given(passwords: Passwords) -> None:
    with pytest.raises(SchemaError) as refused:
        passwords.check_new(Secret("short"), loc=("body", "user", "password"))
    assert refused.value.problems[0].loc == ("body", "user", "password")


@pytest.mark.parametrize(
    "missing", ["correct horse 7 battery!", "CORRECT HORSE 7!", "Correct horse!"]
)
def test_the_strong_policy_misses_any_one_kind(missing: str) -> None:
    strict = Passwords(AuthSettings(strong_password_policy=True, password_min_length=8), COMMON)
    with pytest.raises(SchemaError, match="digit, a lowercase and an uppercase"):
        strict.check_new(Secret(missing))


@pytest.mark.asvs("6.2.12")
@given(
    st.sampled_from(sorted(w for w in COMMON if len(w) > 5 and re.search("[a-z]", w))),
    st.sampled_from([str, str.upper, str.capitalize, str.title]),
    st.text("0123456789!@#$%^&*()_+-.,;:?= ", max_size=8),
    st.text("0123456789!@#$%^&*()_+-.,;:?= ", max_size=8),
    st.integers(1, 3),
)
def test_no_simple_variation_of_a_common_password_is_taken(
    word: str, case: Callable[[str], str], before: str, after: str, times: int
) -> None:
    passwords = Passwords(AuthSettings(password_min_length=8), COMMON)
    with pytest.raises(SchemaError):
        passwords.check_new(Secret(before + case(word) * times + after))
    passwords.stop()


@pytest.mark.parametrize("text", ["\ud800 lone surrogate", "from a byte \udcff of the shell"])
async def test_text_that_cannot_be_written_down_is_no_password(
    passwords: Passwords, text: str
) -> None:
    with pytest.raises(SchemaError):
        passwords.check_new(Secret(text))
    known = await passwords.hash(Secret("correct horse battery"))
    assert not await passwords.matches(Secret(text), known)


@pytest.mark.asvs("15.2.2")
async def test_the_line_in_front_of_the_threads_is_bounded() -> None:
    passwords = Passwords(AuthSettings(), frozenset())
    known = PasswordHasher(1, 8, 1).hash("x")
    tries = [passwords.matches(Secret("x"), known) for _ in range(MOST_WAITING + 50)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    refused = [one for one in done if isinstance(one, UncheckedPasswordError)]
    assert len(refused) == 50
    assert refused[0].retry_after_seconds
    assert done.count(True) == MOST_WAITING
    assert await passwords.matches(Secret("x"), known)
    passwords.stop()


@pytest.mark.asvs("6.2.8", "6.2.9")
async def test_nothing_of_a_password_is_left_out(passwords: Passwords) -> None:
    """However long it is: no character is cut off, and its case counts."""
    for length in (64, 72, 73, 200, 1024):
        text = ("correct horse battery staple. " * 40)[: length - 1] + "K"
        passwords.check_new(Secret(text))
        known = await passwords.hash(Secret(text))
        assert await passwords.matches(Secret(text), known)
        for other in (text[:-1] + "k", text[:-1], text + "K", f" {text}"):
            assert not await passwords.matches(Secret(other), known)


@pytest.mark.asvs("6.2.11")
@pytest.mark.parametrize(
    "text",
    ["bennubennubennu", "Arize-2026-12!!", "arize-phoenix", "OpenInference1", "b3nnub3nnu!!"],
)
def test_words_of_this_product_are_refused(passwords: Passwords, text: str) -> None:
    with pytest.raises(SchemaError, match="name of this product"):
        passwords.check_new(Secret(text))
    passwords.check_new(Secret("a bennu flew over heliopolis"))
