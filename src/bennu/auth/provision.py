"""From somebody proved outside to an account here: linked, made at sign-up, or refused.

The directory and the identity providers both end here. An account is found by the unique id that
the other side gives for ever; by e-mail only as said below, as whoever can choose an address at
the other side must not get somebody else's account here.

Spec: lines 46-47 (directory), 98-99, 105 (providers). Contract: sections 6 and 7.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from bennu.access import VIEWER
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.kernel.ids import global_id
from bennu.storage.epoch import hold_security_epoch, move_security_epoch
from bennu.users.links import BY_DIRECTORY, Link, link_by_email, links_by_subject
from bennu.users.model import USER, AuthMethod, User
from bennu.users.store import find_user, insert_user, set_role, taken_field, update_user

_EMAIL_LIMIT: Final = 254
_NAME_LIMIT: Final = 200
_LEAST_DIGITS: Final = 6
_DIGEST_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the directory or a provider has just proved.

    Args:
        method: ``LDAP`` or ``OAUTH2``.
        provider: its name in small letters; ``ldap`` for the directory.
        issuer: what the provider calls itself; "" for the directory.
        subject: the unique id there; None when the directory is configured without one.
        email: in lower case, see ``outside_email``; None when people have none there.
        display_name: any text; made fit to be a user name here.
        role: a role of this server, or None to keep what the account has (new ones: VIEWER).
        picture: address of a picture, or None.
        email_verified: what the provider says of the address; None when it says nothing.
        client_id: this server's client id at the provider; None for the directory.
        login_name: what was typed at the directory; None for providers.
        role_follows: whether the role is given to an account that exists too; else to new ones.
    """

    method: AuthMethod
    provider: str
    issuer: str
    subject: str | None
    email: str | None
    display_name: str
    role: str | None = None
    picture: str | None = None
    email_verified: bool | None = None
    client_id: str | None = None
    login_name: str | None = None
    role_follows: bool = True


class RefusalReason(StrEnum):
    """Why somebody proved outside does not get in; a fixed word for the audit trail."""

    EMAIL_IN_USE = "email_in_use"
    SIGN_IN_NOT_ALLOWED = "sign_in_not_allowed"
    OTHER_IDENTITY = "other_identity"
    DEACTIVATED = "deactivated"


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed."""

    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class Admitted:
    """The account, with what the other side says of it.

    Args:
        user: as it is now.
        events: to be recorded, in this order, last in the same transaction.
        kept_email: whether the address of the other side is another account's here and the old
            one was kept.
    """

    user: User
    events: tuple[AuditEvent, ...] = ()
    kept_email: bool = False


def outside_email(text: str) -> str | None:
    """Return an address that somebody outside gave, in lower case; None when it is none.

    More is accepted than when an admin makes an account: addresses of an internal network often
    have no dot.
    """
    email = text.strip().lower()
    local, _, domain = email.rpartition("@")
    is_one = bool(local and domain) and len(email) <= _EMAIL_LIMIT
    return email if is_one and email.isprintable() and " " not in email else None


def admit_identity(
    connection: Connection, identity: Identity, *, allow_sign_up: bool, now: int
) -> Admitted | Refused:
    """Find or make the account of somebody proved outside, and bring it up to date.

    E-mail, role and, from the directory, the display name follow the other side. A local account
    and one of another way to sign in are never taken over.

    Args:
        connection: a writing transaction; the security epoch is held from here on and moved
            where authority changes.
        identity: who was proved.
        allow_sign_up: whether somebody without an account gets one.
        now: microseconds since 1970 UTC.
    """
    hold_security_epoch(connection)
    link = _linked_account(connection, identity)
    if link is None:
        found = _account_in_advance(connection, identity, allow_sign_up=allow_sign_up)
        if isinstance(found, RefusalReason):
            return Refused(found)
        link = found
    if link is not None:
        return _follow(connection, link, identity, now)
    if not allow_sign_up:
        return Refused(RefusalReason.SIGN_IN_NOT_ALLOWED)
    return _sign_up(connection, identity, now)


# --- finding -------------------------------------------------------------------------------


def _linked_account(connection: Connection, identity: Identity) -> Link | None:
    """Return the account that has this unique id."""
    if identity.subject is None:
        return None
    for link in links_by_subject(connection, identity.method, identity.subject):
        if identity.method is AuthMethod.LDAP:
            return link
        if link.provider == identity.provider and link.issuer == identity.issuer:
            return link
        # Made in advance by an admin who knew the subject and named the client.
        if link.provider is None and link.client_id and link.client_id == identity.client_id:
            return link
    return None


def _account_in_advance(
    connection: Connection, identity: Identity, *, allow_sign_up: bool
) -> Link | RefusalReason | None:
    """Return the account of the same e-mail if it may be theirs, or why it may not."""
    if identity.email is None:
        return None
    link = link_by_email(connection, identity.email)
    if link is None:
        return None
    if link.is_system or link.auth_method != identity.method:
        return RefusalReason.EMAIL_IN_USE
    if identity.method is AuthMethod.LDAP:
        # The directory is one place under one rule, so its e-mail may find an account that was
        # made in advance, and every account where the directory gives no unique ids.
        is_theirs = identity.subject is None or link.subject in {None, identity.subject}
        return link if is_theirs else RefusalReason.OTHER_IDENTITY
    return link if _is_adoptable(link, identity, allow_sign_up) else RefusalReason.EMAIL_IN_USE


def _is_adoptable(link: Link, identity: Identity, allow_sign_up: bool) -> bool:  # noqa: FBT001
    """Whether an account at providers, made in advance, may go to whoever has its e-mail there.

    With sign-up off an admin decides who has an account, so an address about which the provider
    says nothing is taken at its word; one that it says was not verified never is.
    """
    if link.subject is not None:
        return False
    if link.client_id is not None and link.client_id != identity.client_id:
        return False
    if link.provider is not None and link.provider != identity.provider:
        return False
    if identity.email_verified is None:
        return not allow_sign_up
    return identity.email_verified


# --- following -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Changes:
    """Columns to write, and what the audit record says of them."""

    values: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, old: object, new: object) -> None:
        self.before[name], self.after[name] = old, new


def _follow(connection: Connection, link: Link, identity: Identity, now: int) -> Admitted | Refused:
    """Bring an account up to date with what the other side says."""
    if link.is_system or not (link.active or _may_return(link, identity)):
        return Refused(RefusalReason.DEACTIVATED)
    user = _existing(connection, link.row_id)
    changes = _Changes()
    if not link.active:
        changes.values |= {"active": True, "deactivated_by": None}
        changes.note("active", old=False, new=True)
    kept_email = _plan_email(connection, user, identity, changes)
    if identity.method is AuthMethod.LDAP:
        _plan_name(connection, user, identity, changes)
    _plan_link(link, user, identity, changes)
    if identity.role_follows and identity.role not in {None, user.role}:
        changes.note("role", user.role, identity.role)
        set_role(connection, user.row_id, str(identity.role))
    if changes.values or changes.after:
        update_user(connection, user.row_id, {**changes.values, "updated_at": now})
    if not changes.after:
        return Admitted(user, kept_email=kept_email)
    if changes.after.keys() & {"role", "active"}:
        move_security_epoch(connection)
    name = EventName.ROLE_ASSIGNED if "role" in changes.after else EventName.USER_CHANGED
    changed = _existing(connection, link.row_id)
    event = AuditEvent(name, target=_target(changed), before=changes.before, after=changes.after)
    return Admitted(changed, (event,), kept_email)


def _may_return(link: Link, identity: Identity) -> bool:
    """Whether the directory itself switched the account off; it has just proved the person."""
    return link.deactivated_by == BY_DIRECTORY and identity.method is AuthMethod.LDAP


def _plan_email(connection: Connection, user: User, identity: Identity, changes: _Changes) -> bool:
    """Plan to take over the address; say whether it is somebody else's and the old one stays."""
    if identity.email is None or identity.email == user.email:
        return False
    other = link_by_email(connection, identity.email)
    if other is not None and other.row_id != user.row_id:
        return True
    changes.values["email"] = identity.email
    changes.note("email_changed", old=False, new=True)
    return False


def _plan_name(connection: Connection, user: User, identity: Identity, changes: _Changes) -> None:
    name = _free_name(connection, identity, user.row_id)
    if name != user.username:
        changes.values["username"] = name
        changes.note("username_changed", old=False, new=True)


def _plan_link(link: Link, user: User, identity: Identity, changes: _Changes) -> None:
    known = {
        "provider": link.provider,
        "issuer": link.issuer,
        "subject": link.subject,
        "login_name": link.login_name,
        "client_id": link.client_id,
    }
    new = {name: value for name, value in _link_values(identity).items() if value is not None}
    changes.values |= {name: value for name, value in new.items() if known.get(name) != value}
    if identity.subject is not None and link.subject != identity.subject:
        changes.note("external_id_changed", old=False, new=True)
    if identity.picture not in {None, user.picture}:
        changes.values["profile_picture_url"] = identity.picture


def _link_values(identity: Identity) -> dict[str, str | None]:
    return {
        "provider": identity.provider,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "login_name": identity.login_name,
        "client_id": identity.client_id,
    }


# --- making --------------------------------------------------------------------------------


def _sign_up(connection: Connection, identity: Identity, now: int) -> Admitted:
    role = identity.role or VIEWER
    values = {
        **_link_values(identity),
        "email": identity.email,
        "username": _free_name(connection, identity),
        "auth_method": identity.method,
        "profile_picture_url": identity.picture,
        "password_needs_reset": False,
        "active": True,
        "is_system": False,
        "created_at": now,
        "updated_at": now,
    }
    user = _existing(connection, insert_user(connection, values, role))
    after = {
        "role": role,
        "auth_method": str(identity.method),
        "provider": identity.provider,
    }
    event = AuditEvent(EventName.USER_CREATED, target=_target(user), after=after)
    return Admitted(user, (event,))


def _free_name(connection: Connection, identity: Identity, own_row_id: int = 0) -> str:
    """Return a user name that nobody else has.

    The suffix comes from the identity and not from chance, so that it stays from one sign-in to
    the next; it gets longer in the unlikely case that another account has it too.
    """
    wanted = " ".join(
        "".join(c if c.isprintable() else " " for c in identity.display_name).split()
    )[:_NAME_LIMIT].strip()
    wanted = wanted or (identity.email or "").partition("@")[0] or identity.provider
    seed = f"{identity.provider}\0{identity.issuer}\0{identity.subject or identity.email}"
    digest = hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()
    name, digits = wanted, _LEAST_DIGITS
    while digits <= _DIGEST_DIGITS and taken_field(connection, None, name, own_row_id) is not None:
        name = f"{wanted} ({digest[:digits]})"
        digits += 1
    return name


def _existing(connection: Connection, row_id: int) -> User:
    user = find_user(connection, row_id)
    if user is None:
        raise LookupError("an account went away under the lock that keeps it")
    return user


def _target(user: User) -> Target:
    return Target("user", global_id(USER, user.row_id), user.username)
