"""Rows of sessions and of every bearer credential."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)

from bennu.auth.credential import Credential
from bennu.storage.schema import api_keys, credentials, grants, sessions, users


@dataclass(frozen=True, slots=True)
class BearerRow:
    """All that is known of a credential and its owner, read in one query. Times: microseconds."""

    credential_id: int
    kind: str
    digest: str
    expires_at: int | None
    consumed_at: int | None
    successor: str | None
    session_id: int | None
    session_expires_at: int | None
    user_id: int | None
    username: str | None
    user_role: str | None
    user_active: bool | None
    password_needs_reset: bool | None
    api_key_id: int | None
    key_name: str | None
    key_permissions: str | None
    key_projects: str | None
    key_expires_at: int | None
    key_role: str | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """An open session, as its owner may see it. Times: microseconds since 1970 UTC.

    Args:
        row_id: its row.
        methods: how its person proved who they are, such as ``password``.
        provider: the identity provider, or None.
        address: from where it was opened.
        user_agent: with which client.
        created_at: when it was opened.
        last_used_at: when it was used last, within a minute.
        expires_at: when it ends if it is not used again.
    """

    row_id: int
    methods: tuple[str, ...]
    provider: str | None
    address: str
    user_agent: str
    created_at: int
    last_used_at: int
    expires_at: int


_SESSION_COLUMNS: Final = (
    sessions.c.id,
    sessions.c.auth_methods,
    sessions.c.provider,
    sessions.c.address,
    sessions.c.user_agent,
    sessions.c.created_at,
    sessions.c.last_used_at,
    sessions.c.expires_at,
)
# Built once: every sign-in runs these.
_INSERT_SESSION: Final = insert(sessions).returning(sessions.c.id)
_INSERT_CREDENTIAL: Final = insert(credentials)
_user_grant: Final = grants.alias("user_grant")
_key_grant: Final = grants.alias("key_grant")
_BEARER: Final = select(
    credentials.c.id,
    credentials.c.kind,
    credentials.c.digest,
    credentials.c.expires_at,
    credentials.c.consumed_at,
    credentials.c.successor,
    credentials.c.session_id,
    sessions.c.expires_at,
    users.c.id,
    users.c.username,
    _user_grant.c.role,
    users.c.active,
    users.c.password_needs_reset,
    credentials.c.api_key_id,
    api_keys.c.name,
    api_keys.c.permissions,
    api_keys.c.projects,
    api_keys.c.expires_at,
    _key_grant.c.role,
).select_from(
    credentials.outerjoin(users, users.c.id == credentials.c.user_id)
    .outerjoin(sessions, sessions.c.id == credentials.c.session_id)
    .outerjoin(api_keys, api_keys.c.id == credentials.c.api_key_id)
    .outerjoin(
        _user_grant,
        and_(
            _user_grant.c.subject_kind == "user",
            _user_grant.c.subject_id == users.c.id,
            _user_grant.c.scope == "global",
        ),
    )
    .outerjoin(
        _key_grant,
        and_(
            _key_grant.c.subject_kind == "system_key",
            _key_grant.c.subject_id == api_keys.c.id,
            _key_grant.c.scope == "global",
        ),
    )
)


def find_bearer(connection: Connection, lookup: str) -> BearerRow | None:
    """Return the row that the clear id of a credential names."""
    row = connection.execute(_BEARER.where(credentials.c.lookup == lookup)).first()
    return None if row is None else BearerRow(*tuple(row))


def find_service_account(
    connection: Connection, name: str, row_id: int | None, now: int
) -> BearerRow | None:
    """Return the one system key that is meant, None when there is none or more than one.

    Args:
        connection: to read with.
        name: of the key; one that was rotated does not count, its successor has the same name.
        row_id: row of the key instead; one that was rotated stands for its successor.
        now: of several, those that have expired by then do not count. Microseconds since 1970.
    """
    statement = _BEARER.where(api_keys.c.kind == "system", api_keys.c.replaced_by.is_(None))
    if row_id is not None:
        statement = statement.where(api_keys.c.id == _newest_successor(connection, row_id))
    else:
        statement = statement.where(api_keys.c.name == name)
    rows = [BearerRow(*tuple(row)) for row in connection.execute(statement)]
    good = [row for row in rows if row.key_expires_at is None or row.key_expires_at > now]
    found = good or rows
    return found[0] if len(found) == 1 else None


def _newest_successor(connection: Connection, row_id: int) -> int:
    """Follow the rotations of a key; each successor has a higher row id."""
    following: int | None = row_id
    while following is not None:
        row_id = following
        statement = select(api_keys.c.replaced_by).where(
            api_keys.c.id == row_id, api_keys.c.replaced_by > row_id
        )
        following = connection.execute(statement).scalar()
    return row_id


def insert_session(connection: Connection, values: dict[str, Any], methods: list[str]) -> int:
    """Insert a session; return its row id."""
    row = {**values, "auth_methods": json.dumps(methods)}
    return int(connection.execute(_INSERT_SESSION, row).scalar_one())


def insert_credential(
    connection: Connection, credential: Credential, sealed_digest: str, values: dict[str, Any]
) -> None:
    """Keep a credential by its clear id and the sealed digest of the whole."""
    clear = {"lookup": credential.lookup, "kind": str(credential.kind), "digest": sealed_digest}
    connection.execute(_INSERT_CREDENTIAL, {**clear, **values})


def consume_credential(connection: Connection, row_id: int, now: int, successor: str) -> bool:
    """Mark a refresh credential as used; False when somebody else just did."""
    statement = (
        update(credentials)
        .where(credentials.c.id == row_id, credentials.c.consumed_at.is_(None))
        .values(consumed_at=now, successor=successor)
    )
    return connection.execute(statement).rowcount == 1


def drop_access_credentials(connection: Connection, session_id: int) -> None:
    """Revoke the access credentials of a session; a refresh has made new ones."""
    connection.execute(
        delete(credentials).where(
            credentials.c.session_id == session_id, credentials.c.kind == "at"
        )
    )


def forget_successors(connection: Connection, session_id: int, consumed_before: int) -> None:
    """Drop the sealed successors that nobody may ask for any more."""
    connection.execute(
        update(credentials)
        .where(credentials.c.session_id == session_id)
        .where(credentials.c.consumed_at < consumed_before)
        .values(successor=None)
    )


def delete_reset_credentials(connection: Connection, user_id: int) -> None:
    """Make the mailed links of a user worthless."""
    connection.execute(
        delete(credentials).where(credentials.c.user_id == user_id, credentials.c.kind == "pr")
    )


def touch_session(connection: Connection, session_id: int, now: int, expires_at: int) -> None:
    """Note that a session was used, and until when it lives."""
    connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id)
        .values(last_used_at=now, expires_at=expires_at)
    )


def extend_sessions(
    connection: Connection, used_at: Mapping[int, int], idle: int, absolute: int
) -> None:
    """Note when sessions were used, and let them live on by the idle limit from then.

    Args:
        connection: of a transaction of its own.
        used_at: row of a session and when it was used; one that has ended stays ended.
        idle: microseconds without use after which a session ends.
        absolute: microseconds after which it ends however busy it is.
    """
    end = sessions.c.authenticated_at + absolute
    used = bindparam("used", type_=BigInteger)
    statement = (
        update(sessions)
        .where(sessions.c.id == bindparam("session"), sessions.c.last_used_at < used)
        .where(sessions.c.expires_at > used)
        .values(last_used_at=used, expires_at=case((end < used + idle, end), else_=used + idle))
    )
    rows = [{"session": session_id, "used": at} for session_id, at in sorted(used_at.items())]
    connection.execute(statement, rows)


def session_started_at(connection: Connection, session_id: int) -> int:
    """Return when the person proved who they are, in microseconds."""
    statement = select(sessions.c.authenticated_at).where(sessions.c.id == session_id)
    return int(connection.execute(statement).scalar_one())


def provider_of_session(
    connection: Connection, session_id: int
) -> tuple[str, str | None, str] | None:
    """Return provider, the provider's session id and the sealed ID token; None without provider."""
    row = connection.execute(
        select(sessions.c.provider, sessions.c.provider_session_id, sessions.c.id_token).where(
            sessions.c.id == session_id,
            sessions.c.provider.is_not(None),
            sessions.c.id_token.is_not(None),
        )
    ).first()
    return None if row is None else (row[0], row[1], row[2])


def session_exists(connection: Connection, session_id: int) -> bool:
    """Whether a session was not ended yet."""
    statement = select(sessions.c.id).where(sessions.c.id == session_id)
    return connection.execute(statement).first() is not None


def live_sessions_of(connection: Connection, user_id: int, now: int) -> list[SessionRow]:
    """Return the sessions of a user that have not expired, the one used last first."""
    statement = (
        select(*_SESSION_COLUMNS)
        .where(sessions.c.user_id == user_id, sessions.c.expires_at > now)
        .order_by(sessions.c.last_used_at.desc(), sessions.c.id.desc())
    )
    found = connection.execute(statement)
    return [SessionRow(row[0], tuple(json.loads(row[1])), *tuple(row)[2:]) for row in found]


def delete_session(connection: Connection, session_id: int, user_id: int | None = None) -> bool:
    """End a session, of a user if one is given; its credentials go with it.

    Returns:
        False when there was none: it was over already, or is another user's.
    """
    statement = delete(sessions).where(sessions.c.id == session_id)
    if user_id is not None:
        statement = statement.where(sessions.c.user_id == user_id)
    return connection.execute(statement).rowcount == 1


def delete_sessions_of(connection: Connection, user_id: int, kept: int | None) -> int:
    """End the sessions of a user but the one that is kept; return how many."""
    statement = delete(sessions).where(sessions.c.user_id == user_id)
    if kept is not None:
        statement = statement.where(sessions.c.id != kept)
    return connection.execute(statement).rowcount


def sweep_credentials(connection: Connection, now: int) -> int:
    """Delete sessions and credentials that are past their time; return how many.

    API keys stay: their owners want to see which have expired.
    """
    swept = connection.execute(delete(sessions).where(sessions.c.expires_at < now)).rowcount
    statement = delete(credentials).where(
        credentials.c.expires_at < now, credentials.c.api_key_id.is_(None)
    )
    return swept + connection.execute(statement).rowcount
