"""The one format of bearer credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.auth.credential import Credential, CredentialKind, make_credential, parse_credential
from bennu.kernel.ids import SystemEntropy


class Bytes:
    """Randomness that hypothesis chooses."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def bytes(self, count: int) -> bytes:
        return (self._value * count)[:count]


def made() -> Credential:
    return make_credential(CredentialKind.USER_KEY, SystemEntropy())


@given(st.sampled_from(CredentialKind), st.binary(min_size=1, max_size=32))
def test_what_was_made_parses_to_the_same(kind: CredentialKind, random: bytes) -> None:
    credential = make_credential(kind, Bytes(random))
    assert parse_credential(credential.text.reveal()) == credential


def test_a_credential_says_its_kind_and_hides_itself() -> None:
    credential = made()
    assert credential.text.reveal().startswith("bnu_uk_")
    assert credential.text.reveal() not in repr(credential)
    assert len(credential.digest) == 64


@pytest.mark.asvs("7.2.2")
def test_two_credentials_share_nothing() -> None:
    one, other = made(), made()
    assert one.lookup != other.lookup
    assert one.digest != other.digest


@pytest.mark.parametrize("bit", range(8))
def test_one_flipped_bit_anywhere_is_refused(bit: int) -> None:
    raw = bytearray(made().text.reveal().encode())
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << bit
        assert parse_credential(changed.decode("latin-1")) is None


@given(st.binary(max_size=200), st.sampled_from(("", "bnu_uk_", "bnu_sk_" + "0" * 17 + "_")))
def test_arbitrary_bytes_are_refused_quietly(raw: bytes, prefix: str) -> None:
    for encoding in ("latin-1", "utf-8"):
        assert parse_credential(prefix + raw.decode(encoding, "surrogateescape")) is None


@given(st.text())
def test_arbitrary_text_is_refused_quietly(text: str) -> None:
    assert parse_credential(text) is None
    assert parse_credential("bnu_uk_" + text) is None


def test_blanks_and_other_digits_are_no_part_of_it() -> None:
    text = made().text.reveal()
    assert parse_credential(text + "\n") is None
    assert parse_credential(" " + text) is None
    assert parse_credential(text[:-1] + "\N{ARABIC-INDIC DIGIT ONE}") is None


class Counted(Bytes):
    """Randomness that remembers how much was asked for."""

    def __init__(self) -> None:
        super().__init__(b"x")
        self.asked: list[int] = []

    def bytes(self, count: int) -> bytes:
        self.asked.append(count)
        return super().bytes(count)


@pytest.mark.asvs("7.2.3", "11.5.1")
@pytest.mark.parametrize("kind", list(CredentialKind))
def test_a_secret_is_160_random_bits(kind: CredentialKind) -> None:
    """None of it is lost on the way into the text, and no two differ in the clear part alone."""
    entropy = Counted()
    make_credential(kind, entropy)
    assert entropy.asked == [12, 20]
    secrets = [
        make_credential(kind, Bytes(bytes([1]) * 12 + bytes([n]))).text.reveal().split("_")[3]
        for n in range(256)
    ]
    assert {len(secret) for secret in secrets} == {27}
    assert 62**27 > 2**160
    drawn = {make_credential(kind, SystemEntropy()).text.reveal().split("_")[3] for _ in range(99)}
    assert len(drawn) == 99
