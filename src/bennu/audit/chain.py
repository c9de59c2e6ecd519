"""The chain of keyed hashes that makes a changed, removed or inserted record visible. Pure.

Each record's hash covers its fields and the hash before it. Personal fields enter only through a
salted hash of their own, so that an erasure can drop them without breaking the chain.

Source: RFC 2104 (HMAC); Schneier and Kelsey, "Secure Audit Logs" (1999).
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec

GENESIS_HASH: Final = "0" * 64
#: What the chain covers, in this order; adding a field means a new version of the chain.
CHAINED_FIELDS: Final = (
    "sequence",
    "id",
    "time_at",
    "event",
    "outcome",
    "reason",
    "actor_kind",
    "actor_id",
    "credential_kind",
    "credential_id",
    "request_id",
    "target_kind",
    "target_id",
    "before",
    "after",
    "count",
    "personal_hash",
)
_encoder: Final = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: object) -> str:
    """Write a value in the one form that is hashed: sorted keys, no blanks."""
    return _encoder.encode(value).decode()


def personal_hash_of(salt: str, personal: str) -> str:
    """Return the hash under which personal fields enter the chain.

    Why safe: the salt is random and dropped together with the fields, so that afterwards a guess
    of a name or an address cannot be tried on the hash.
    """
    return hashlib.sha256(bytes.fromhex(salt) + personal.encode()).hexdigest()


def chain_hash_of(key: bytes, previous_hash: str, row: Mapping[str, Any]) -> str:
    """Return the hash of one record: HMAC-SHA256 over the hash before it and its fields."""
    fields = canonical_json([previous_hash, *(row[name] for name in CHAINED_FIELDS)])
    return hmac.digest(key, fields.encode(), "sha256").hex()


def head_mac_of(key: bytes, head: Mapping[str, Any]) -> str:
    """Return the MAC over the newest place of the chain and its base."""
    fields = canonical_json(
        ["head", *(head[n] for n in ("sequence", "chain_hash", "first_sequence", "base_hash"))]
    )
    return hmac.digest(key, fields.encode(), "sha256").hex()
