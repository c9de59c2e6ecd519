"""Rows of users and of what they may do."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from bennu.access import ADMIN, VIEWER
from bennu.storage.schema import credentials, grants, meta, sessions, users
from bennu.users.model import User

GLOBAL: Final = "global"
_FIRST_ADMIN_PREFIX: Final = "first_admin:"
_IS_GLOBAL_GRANT: Final = and_(
    grants.c.subject_kind == "user", grants.c.subject_id == users.c.id, grants.c.scope == GLOBAL
)
_COLUMNS: Final = (
    users.c.id,
    users.c.email,
    users.c.username,
    grants.c.role,
    users.c.auth_method,
    users.c.password_hash,
    users.c.password_needs_reset,
    users.c.active,
    users.c.is_system,
    users.c.created_at,
    users.c.updated_at,
    users.c.client_id,
    users.c.subject,
    users.c.profile_picture_url,
)


def _users() -> Select[Any]:
    return select(*_COLUMNS).select_from(users.outerjoin(grants, _IS_GLOBAL_GRANT))


# Built once: every sign-in runs these, and building them takes longer than running them.
_BY_ROW_ID: Final = _users().where(users.c.id == bindparam("of_row_id"))
_BY_EMAIL: Final = _users().where(users.c.email == bindparam("of_email"))
_TAKEN: Final = {
    column.name: select(users.c.id).where(
        column == bindparam("of_value"), users.c.id != bindparam("of_row_id")
    )
    for column in (users.c.username, users.c.email)
}
_CHANGE: Final = update(users).where(users.c.id == bindparam("of_row_id"))


def _user(row: Row[Any]) -> User:
    values = list(row)
    values[3] = values[3] or VIEWER
    return User(*values)


def find_user(connection: Connection, row_id: int) -> User | None:
    """Return the user of a row id."""
    row = connection.execute(_BY_ROW_ID, {"of_row_id": row_id}).first()
    return None if row is None else _user(row)


def find_user_by_email(connection: Connection, email: str) -> User | None:
    """Return the user of an address in lower case."""
    row = connection.execute(_BY_EMAIL, {"of_email": email}).first()
    return None if row is None else _user(row)


def find_account(connection: Connection, text: str, row_id: int | None) -> User | None:
    """Return the user of a row id, of an address in any case, or of a user name."""
    for known in (
        users.c.id == row_id,
        users.c.email == text.lower(),
        users.c.username == text,
    ):
        row = connection.execute(_users().where(known)).first()
        if row is not None:
            return _user(row)
    return None


def find_system_user(connection: Connection) -> User | None:
    """Return the user that owns what belongs to no person."""
    row = connection.execute(_users().where(users.c.is_system)).first()
    return None if row is None else _user(row)


def newest_users(connection: Connection, limit: int, at_most_id: int | None) -> list[User]:
    """Return users, newest first, from a row id downwards."""
    statement = _users().order_by(users.c.id.desc()).limit(limit)
    if at_most_id is not None:
        statement = statement.where(users.c.id <= at_most_id)
    return [_user(row) for row in connection.execute(statement)]


def taken_field(
    connection: Connection, email: str | None, username: str, except_id: int = 0
) -> str | None:
    """Say which of the two is another user's already: ``username``, ``email`` or None."""
    for name, value in (("username", username), ("email", email)):
        known = {"of_value": value, "of_row_id": except_id}
        if value is not None and connection.execute(_TAKEN[name], known).first() is not None:
            return name
    return None


def insert_user(connection: Connection, values: Mapping[str, Any], role: str) -> int:
    """Insert a user with a global role; return its row id."""
    result = connection.execute(insert(users).values(**values).returning(users.c.id))
    row_id = int(result.scalar_one())
    connection.execute(
        insert(grants).values(
            subject_kind="user",
            subject_id=row_id,
            role=role,
            scope=GLOBAL,
            created_at=values["created_at"],
        )
    )
    return row_id


def update_user(connection: Connection, row_id: int, values: Mapping[str, Any]) -> None:
    """Change columns of a user."""
    connection.execute(_CHANGE, {**values, "of_row_id": row_id})


def set_role(connection: Connection, row_id: int, role: str) -> None:
    """Change the global role of a user."""
    connection.execute(
        update(grants)
        .where(grants.c.subject_kind == "user", grants.c.subject_id == row_id)
        .where(grants.c.scope == GLOBAL)
        .values(role=role)
    )


def delete_user_row(connection: Connection, row_id: int) -> None:
    """Delete a user; sessions, keys and credentials go with it."""
    connection.execute(
        delete(grants).where(grants.c.subject_kind == "user", grants.c.subject_id == row_id)
    )
    connection.execute(delete(users).where(users.c.id == row_id))


def end_sessions_of(connection: Connection, user_id: int) -> int:
    """End every session of a user, and what a reset link waits for; keys stay.

    Returns:
        How many sessions there were.
    """
    connection.execute(
        delete(credentials).where(
            credentials.c.user_id == user_id, credentials.c.api_key_id.is_(None)
        )
    )
    return connection.execute(delete(sessions).where(sessions.c.user_id == user_id)).rowcount


def count_active_admins(connection: Connection, except_id: int = 0) -> int:
    """Count the people who can still administer the server."""
    statement = (
        select(func.count())
        .select_from(users.join(grants, _IS_GLOBAL_GRANT))
        .where(users.c.active, grants.c.role == ADMIN, users.c.id != except_id)
    )
    return int(connection.execute(statement).scalar_one())


def has_admin(connection: Connection) -> bool:
    """Whether anybody was ever made an admin."""
    statement = select(grants.c.id).where(grants.c.role == ADMIN, grants.c.subject_kind == "user")
    return connection.execute(statement.limit(1)).first() is not None


def note_first_admin(connection: Connection, email: str) -> bool:
    """Remember that an admin named in the settings was made; False when that was done before.

    Only a hash is kept, so that an erasure leaves no address behind.
    """
    name = _FIRST_ADMIN_PREFIX + hashlib.sha256(email.encode()).hexdigest()[:32]
    if connection.execute(select(meta.c.name).where(meta.c.name == name)).first() is not None:
        return False
    connection.execute(insert(meta).values(name=name, value="made"))
    return True


def first_passwords_in_use(connection: Connection) -> int:
    """Count the active admins who still have the password that they were given."""
    statement = (
        select(func.count())
        .select_from(users.join(grants, _IS_GLOBAL_GRANT))
        .where(users.c.active, users.c.password_needs_reset, users.c.auth_method == "LOCAL")
        .where(users.c.password_hash.is_not(None), grants.c.role == ADMIN)
    )
    return int(connection.execute(statement).scalar_one())
