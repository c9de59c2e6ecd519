"""Rows of sign-in through providers: which sessions a provider may end.

Spec: lines 91-133.
"""

from sqlalchemy import Connection, select

from bennu.storage.schema import sessions, users


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
