"""Receipts are signed, and any change shows. Spec: 265."""

import msgspec
import pytest

from bennu.encryption.signing import PublicKeyError, public_key_pem
from bennu.privacy.receipt import ReceiptError, is_authentic_receipt, read_receipt, sign_receipt

SEED, OTHER = b"s" * 32, b"o" * 32
FIELDS = {"id": "1", "subject": {"kind": "user"}, "erased": {"spans": 3}}


def test_the_owner_of_the_key_signed_it() -> None:
    receipt = sign_receipt(SEED, FIELDS)
    assert receipt["public_key"] == public_key_pem(SEED)
    assert is_authentic_receipt(receipt, public_key_pem(SEED))
    assert not is_authentic_receipt(receipt, public_key_pem(OTHER))


@pytest.mark.parametrize(
    "change", [{"erased": {"spans": 4}}, {"more": 1}, {"signature": "zz"}, {"signature": "AAAA"}]
)
def test_any_change_shows(change: dict[str, object]) -> None:
    assert not is_authentic_receipt({**sign_receipt(SEED, FIELDS), **change}, public_key_pem(SEED))


def test_the_key_inside_proves_nothing() -> None:
    forged = {**sign_receipt(OTHER, FIELDS), "public_key": public_key_pem(OTHER)}
    assert not is_authentic_receipt(forged, public_key_pem(SEED))
    with pytest.raises(PublicKeyError):
        is_authentic_receipt(forged, "no key")


def test_it_is_read_alone_or_out_of_the_answer_about_its_job() -> None:
    receipt = sign_receipt(SEED, FIELDS)
    for document in (receipt, {"receipt": receipt}, {"data": {"receipt": receipt}}):
        assert read_receipt(msgspec.json.encode(document)) == receipt


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b'{"format":"other"}'])
def test_anything_else_is_no_receipt(text: bytes) -> None:
    with pytest.raises(ReceiptError):
        read_receipt(text)
