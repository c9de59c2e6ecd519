"""Rows of sign-in through providers: what was used up, and which sessions a provider may end.

Spec: lines 91-133. Source: OpenID Connect Back-Channel Logout 1.0 section 2.7.
"""

import hashlib

from sqlalchemy import Connection, delete, select

from bennu.storage.schema import sessions, used_once, users
from bennu.storage.upsert import insert_if_new


def use_once(
    connection: Connection, purpose: str, value: str, *, expires_at: int, now: int
) -> bool:
    """Use a value up; False when it was used before. What has expired meanwhile is forgotten.

    Args:
        connection: a writing transaction.
        purpose: what for; the same value may be used once for each.
        value: of any length, kept as a digest.
        expires_at: microseconds since 1970, after which the value is refused anyway.
        now: microseconds since 1970.
    """
    connection.execute(delete(used_once).where(used_once.c.expires_at < now))
    digest = hashlib.sha256(f"{purpose}\0{value}".encode("utf-8", "surrogatepass")).hexdigest()
    return insert_if_new(connection, used_once, {"digest": digest, "expires_at": expires_at})


def sessions_at_provider(
    connection: Connection, provider: str, issuer: str, session_id: str | None, subject: str | None
) -> list[tuple[int, int]]:
    """Return sessions as (row, user's row) that a provider means.

    Args:
        connection: a transaction.
        provider: whose sessions; others are never touched.
        issuer: what the provider calls itself.
        session_id: the provider's id of one session, or None for all of a person.
        subject: the person, or None when the session's id says enough.
    """
    statement = (
        select(sessions.c.id, sessions.c.user_id)
        .join(users, users.c.id == sessions.c.user_id)
        .where(sessions.c.provider == provider, users.c.issuer == issuer)
        .order_by(sessions.c.id)
    )
    if session_id is not None:
        statement = statement.where(sessions.c.provider_session_id == session_id)
    if subject is not None:
        statement = statement.where(users.c.subject == subject)
    return [(int(row[0]), int(row[1])) for row in connection.execute(statement)]
