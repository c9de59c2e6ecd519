"""Rules and hashing of passwords."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.auth.local.passwords import Passwords, common_passwords
from bennu.auth.settings import AuthSettings
from bennu.kernel.errors import SchemaError
from bennu.kernel.secret import Secret

COMMON = common_passwords()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(AuthSettings(), COMMON)


def test_the_list_of_common_passwords_is_long_enough() -> None:
    assert len(COMMON) >= 10_000


@pytest.mark.parametrize(
    "text",
    [
        "short",
        "password1234",
        "Password1234!",
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
