"""Receipts of erasures: what was erased, when, by whom; signed with the key of the audit trail.

Pure, no clock.

Spec: line 265. Source: RFC 8032 (Ed25519).
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bennu.audit.chain import canonical_json
from bennu.encryption.signing import is_signed_by, public_key_pem, sign_message
from bennu.kernel.errors import InvalidError

FORMAT: Final = "bennu-erasure-receipt-v1"
_OUTSIDE: Final = frozenset({"signature", "public_key"})


class ReceiptError(InvalidError):
    """A file is no receipt."""

    code = "receipt"


def signed_text(fields: Mapping[str, Any]) -> bytes:
    """Return what is signed: the name of the format and the other fields as canonical JSON."""
    inside = {name: value for name, value in fields.items() if name not in _OUTSIDE}
    return f"{FORMAT}\n{canonical_json(inside)}\n".encode()


def sign_receipt(seed: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the receipt with its signature and the public key that it is checked with."""
    whole = {"format": FORMAT, **fields}
    signature = base64.b64encode(sign_message(seed, signed_text(whole))).decode()
    return {**whole, "signature": signature, "public_key": public_key_pem(seed)}


def read_receipt(text: bytes) -> dict[str, Any]:
    """Read a receipt, alone or as the job shows it.

    Raises:
        ReceiptError: it is none.
    """
    try:
        document = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReceiptError("This is no receipt of an erasure") from error
    for name in ("data", "receipt"):
        inner = document.get(name)
        document = inner if isinstance(inner, dict) else document
    if document.get("format") != FORMAT or not isinstance(document.get("signature"), str):
        raise ReceiptError("This is no receipt of an erasure")
    return document


def is_authentic_receipt(receipt: Mapping[str, Any], public_pem: str) -> bool:
    """Whether the owner of a public key signed this. The key inside proves nothing.

    Raises:
        PublicKeyError: the text is no public key of the right kind.
    """
    try:
        signature = base64.b64decode(str(receipt["signature"]), validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    return is_signed_by(public_pem, signed_text(receipt), signature)
