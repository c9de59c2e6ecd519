"""Ed25519 signatures: what this server said can be checked by somebody without its secrets.

Spec: lines 256-260. Source: RFC 8032; RFC 8410 (the PEM form that openssl reads).
"""

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from bennu.kernel.errors import InvalidError

SEED_BYTES: Final = 32


class PublicKeyError(InvalidError):
    """A text is no public key of the kind that is used here."""

    code = "public_key"


def public_key_pem(seed: bytes) -> str:
    """Return the public key that belongs to a private one of 32 random bytes, as PEM."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign_message(seed: bytes, message: bytes) -> bytes:
    """Return the signature of a message: 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def is_signed_by(public_pem: str, message: bytes, signature: bytes) -> bool:
    """Whether the owner of a public key signed this message.

    Raises:
        PublicKeyError: the text is no Ed25519 public key in PEM.
    """
    public = _public_key_of(public_pem)
    try:
        public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_public_key(public_pem: str) -> None:
    """Refuse a text that is no public key of this kind.

    Raises:
        PublicKeyError: it is not an Ed25519 public key in PEM.
    """
    _public_key_of(public_pem)


def _public_key_of(public_pem: str) -> Ed25519PublicKey:
    try:
        public = load_pem_public_key(public_pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise PublicKeyError("This is not an Ed25519 public key in PEM")
    return public
