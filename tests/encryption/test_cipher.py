"""Sealing under a keyring; the token is a plain Fernet token. Spec: 156-162, 178."""

import json
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken

from bennu.encryption.cipher import Cipher, Keyring, SealError, key_id_of
from bennu.kernel.errors import UnavailableError
from bennu.kernel.secret import Secret

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "fernet.json").read_text())
SPEC_KEY = VECTORS["secret"].encode()
OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


@pytest.mark.asvs("11.2.1")
def test_published_tokens_open() -> None:
    cipher = Cipher(Keyring(SPEC_KEY))
    for vector in VECTORS["verify"]:
        assert cipher.open(f"{key_id_of(SPEC_KEY)}:{vector['token']}") == vector["src"].encode()


@pytest.mark.asvs("11.3.3")
@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: v["desc"])
def test_published_broken_tokens_are_refused(vector: dict[str, str]) -> None:
    with pytest.raises(SealError):
        Cipher(Keyring(SPEC_KEY)).open(f"{key_id_of(SPEC_KEY)}:{vector['token']}")


@pytest.mark.parametrize("vector", VECTORS["refused_by_age_only"], ids=lambda v: v["desc"])
def test_what_rests_sealed_has_no_age(vector: dict[str, str | int]) -> None:
    token, ttl, now = str(vector["token"]), vector["ttl_seconds"], vector["now_seconds"]
    with pytest.raises(InvalidToken):
        Fernet(SPEC_KEY).decrypt_at_time(token, ttl=int(ttl), current_time=int(now))
    assert Cipher(Keyring(SPEC_KEY)).open(f"{key_id_of(SPEC_KEY)}:{token}") == b""


@pytest.mark.asvs("11.3.2")
@pytest.mark.parametrize("value", ["", "hello", "ünï ☂", "x" * 100_000, b"", bytes(range(256))])
def test_tokens_are_plain_fernet_in_both_directions(value: str | bytes) -> None:
    raw = value.encode() if isinstance(value, str) else value
    cipher = Cipher(Keyring(NEW))
    key_id, _, token = cipher.seal(value).partition(":")
    assert Fernet(NEW).decrypt(token) == raw
    assert cipher.open(f"{key_id}:{Fernet(NEW).encrypt(raw).decode()}") == raw


def test_only_the_newest_key_seals_and_older_ones_open() -> None:
    before, after = Cipher(Keyring(OLD)), Cipher(Keyring(NEW, [OLD]))
    sealed_before = before.seal("kept")
    assert after.open(sealed_before) == b"kept"
    assert after.seal("new").startswith(key_id_of(NEW) + ":")
    assert after.keyring.key_ids == (key_id_of(NEW), key_id_of(OLD))
    with pytest.raises(SealError):
        before.open(after.seal("new"))


def test_a_missing_key_is_named_and_no_secret_is() -> None:
    secret = Secret("0123456789abcdef0123456789abcdef")
    sealed = Cipher(Keyring(OLD)).seal("plain text")
    with pytest.raises(SealError) as caught:
        Cipher(Keyring.from_secrets(secret)).open(sealed)
    assert isinstance(caught.value, UnavailableError)
    assert key_id_of(OLD) in caught.value.detail
    assert "PHOENIX_SECRET_PREVIOUS" in caught.value.detail
    said = caught.value.public + caught.value.detail
    assert secret.reveal() not in said
    assert "plain text" not in said


@pytest.mark.parametrize("text", ["", ":", "gAAAA", "é:é", "x" * 12 + ":y", "\n[fake] log line:"])
def test_what_is_no_sealed_value_is_refused_and_not_echoed(text: str) -> None:
    with pytest.raises(SealError) as caught:
        Cipher(Keyring(NEW)).open(text)
    assert "fake" not in caught.value.detail


@pytest.mark.asvs("11.3.3")
def test_damage_anywhere_is_noticed() -> None:
    cipher = Cipher(Keyring(NEW))
    sealed = cipher.seal("secret")
    for place in range(0, len(sealed) - 2, 7):
        changed = "A" if sealed[place] != "A" else "B"
        with pytest.raises(SealError):
            cipher.open(sealed[:place] + changed + sealed[place + 1 :])
    with pytest.raises(SealError):
        cipher.open(sealed + "é")


def test_sealing_twice_gives_two_texts_and_names_the_key() -> None:
    cipher = Cipher(Keyring(NEW, [OLD, NEW]))
    assert cipher.seal("x") != cipher.seal("x")
    assert cipher.keyring.key_ids == (key_id_of(NEW), key_id_of(OLD))


def test_nothing_prints_a_key() -> None:
    keyring = Keyring(NEW, [OLD])
    shown = repr(keyring) + repr(Cipher(keyring)) + str(keyring)
    assert NEW.decode() not in shown
    assert OLD.decode() not in shown
    assert key_id_of(NEW) not in NEW.decode()
