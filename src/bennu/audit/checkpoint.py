"""Checkpoints: signed statements of how far the trail went, to be kept somewhere else.

Who can write to the database could cut the end of the trail together with its head, or put back
an old copy of all of it. A checkpoint that was exported before shows that. Pure, no clock.

Spec: lines 256-260. Source: RFC 8032 (Ed25519).
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from bennu.encryption.signing import is_signed_by, public_key_pem, sign_message
from bennu.kernel.clock import from_microseconds, to_microseconds
from bennu.kernel.errors import InvalidError

_FORMAT: Final = "bennu-audit-checkpoint-v1"


class CheckpointError(InvalidError):
    """A file is no exported checkpoint."""

    code = "checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One signed place of the chain.

    Args:
        sequence: of the newest record at that time, from 1.
        chain_hash: of that record.
        time_at: when it was signed, microseconds since 1970 UTC.
        signature: base64 of 64 bytes.
    """

    sequence: int
    chain_hash: str
    time_at: int
    signature: str

    def fields(self) -> dict[str, Any]:
        """Return it as it is exported."""
        return {
            "sequence": self.sequence,
            "chain_hash": self.chain_hash,
            "time_utc": from_microseconds(self.time_at).isoformat(),
            "signature": self.signature,
        }


class _Document(msgspec.Struct):
    """A checkpoint as it is exported."""

    sequence: int
    chain_hash: str
    time_utc: datetime
    signature: str


def signed_text(sequence: int, chain_hash: str, time_at: int) -> str:
    """Return what is signed: four lines, so that openssl can check it without this program."""
    return f"{_FORMAT}\n{sequence}\n{chain_hash}\n{from_microseconds(time_at).isoformat()}\n"


def sign_checkpoint(seed: bytes, sequence: int, chain_hash: str, time_at: int) -> Checkpoint:
    """Sign a place of the chain with a private key of 32 bytes."""
    signature = sign_message(seed, signed_text(sequence, chain_hash, time_at).encode())
    return Checkpoint(sequence, chain_hash, time_at, base64.b64encode(signature).decode())


def is_authentic(checkpoint: Checkpoint, public_pem: str) -> bool:
    """Whether a checkpoint was signed by the owner of a public key.

    Raises:
        PublicKeyError: the text is no public key of the right kind.
    """
    text = signed_text(checkpoint.sequence, checkpoint.chain_hash, checkpoint.time_at)
    try:
        signature = base64.b64decode(checkpoint.signature, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    return is_signed_by(public_pem, text.encode(), signature)


def checkpoint_document(checkpoint: Checkpoint, seed: bytes) -> dict[str, Any]:
    """Return a checkpoint as it is exported, with the public key that it is checked with."""
    return {**checkpoint.fields(), "public_key": public_key_pem(seed)}


def read_checkpoint_document(text: bytes) -> Checkpoint:
    """Read an exported checkpoint. The public key in it proves nothing and is not looked at.

    Raises:
        CheckpointError: it is none.
    """
    try:
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError("This is no checkpoint of `bennu audit checkpoint`") from error
    if document.time_utc.tzinfo is None:
        raise CheckpointError("The time of the checkpoint names no zone")
    time_at = to_microseconds(document.time_utc)
    return Checkpoint(document.sequence, document.chain_hash, time_at, document.signature)
