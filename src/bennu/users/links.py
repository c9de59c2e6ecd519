"""How accounts are tied to people outside: to an entry of the directory, to a provider's subject.

Spec: lines 47, 99 (sign-up), 66, 79 (unique ids).
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from bennu.storage.schema import users

#: In ``deactivated_by``: a comparison with the directory did it, and may take it back.
BY_DIRECTORY: Final = "directory"


@dataclass(frozen=True, slots=True)
class Link:
    """What ties one account to somebody outside; None where nothing is known yet.

    Args:
        row_id: of the user.
        subject: the unique id there; an account made in advance may have none.
        client_id: the provider's client that an admin named when making the account.
        login_name: what the person typed at the directory when they last signed in.
        deactivated_by: who did it, if the account is not active.
    """

    row_id: int
    auth_method: str
    email: str | None
    provider: str | None
    issuer: str | None
    subject: str | None
    client_id: str | None
    login_name: str | None
    active: bool
    deactivated_by: str | None
    is_system: bool


_LINKS: Final = select(
    users.c.id,
    users.c.auth_method,
    users.c.email,
    users.c.provider,
    users.c.issuer,
    users.c.subject,
    users.c.client_id,
    users.c.login_name,
    users.c.active,
    users.c.deactivated_by,
    users.c.is_system,
)
# Built once: every sign-in through somebody outside runs these.
_BY_SUBJECT: Final = _LINKS.where(
    users.c.subject == bindparam("of_subject"), users.c.auth_method == bindparam("of_method")
).order_by(users.c.id)
_BY_EMAIL: Final = _LINKS.where(users.c.email == bindparam("of_email"))


def links_by_subject(connection: Connection, auth_method: str, subject: str) -> tuple[Link, ...]:
    """Return the accounts of one way to sign in that have this unique id, at any provider."""
    known = {"of_subject": subject, "of_method": auth_method}
    return tuple(Link(*row) for row in connection.execute(_BY_SUBJECT, known))


def link_by_email(connection: Connection, email: str) -> Link | None:
    """Return the account of an address in lower case, whatever way it signs in."""
    row = connection.execute(_BY_EMAIL, {"of_email": email}).first()
    return None if row is None else Link(*row)


def link_of(connection: Connection, row_id: int) -> Link | None:
    """Return what ties one account to somebody outside."""
    row = connection.execute(_LINKS.where(users.c.id == row_id)).first()
    return None if row is None else Link(*row)


def links_of_method(connection: Connection, auth_method: str) -> tuple[Link, ...]:
    """Return every account of one way to sign in, in the order in which they were made."""
    statement = _LINKS.where(users.c.auth_method == auth_method).order_by(users.c.id)
    return tuple(Link(*row) for row in connection.execute(statement))


def forget_who_deactivated(connection: Connection, row_id: int) -> None:
    """Note that it is no longer the directory that keeps an account switched off."""
    connection.execute(update(users).where(users.c.id == row_id).values(deactivated_by=None))
