"""What may be used only once: handshakes and tokens of providers, forms that make a key.

Spec: lines 91-133, 141. Source: OpenID Connect Back-Channel Logout 1.0 section 2.7.
"""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, delete

from bennu.kernel.errors import ConflictError
from bennu.storage.schema import used_once
from bennu.storage.upsert import insert_if_new


class UsedUpError(ConflictError):
    """It was used before, and what it was good for is done already."""

    code = "used_up"


@dataclass(frozen=True, slots=True)
class OneUse:
    """A value that is good for one use.

    Args:
        purpose: what for; the same value may be used once for each.
        value: of any length, kept as a digest.
    """

    purpose: str
    value: str


def use_once(connection: Connection, one: OneUse, *, expires_at: int, now: int) -> bool:
    """Use a value up; False when it was used before. What has expired meanwhile is forgotten.

    Args:
        connection: a writing transaction; what it does not keep was not used up either.
        one: the value.
        expires_at: microseconds since 1970, after which the value is refused anyway.
        now: microseconds since 1970.
    """
    connection.execute(delete(used_once).where(used_once.c.expires_at < now))
    text = f"{one.purpose}\0{one.value}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return insert_if_new(connection, used_once, {"digest": digest, "expires_at": expires_at})
