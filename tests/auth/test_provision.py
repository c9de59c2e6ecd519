"""From somebody proved outside to an account here."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bennu.auth.provision import (
    Admitted,
    Identity,
    RefusalReason,
    Refused,
    admit_identity,
    outside_email,
)
from bennu.kernel.clock import to_microseconds
from bennu.storage.epoch import read_security_epoch
from bennu.storage.schema import users
from bennu.users.links import BY_DIRECTORY, links_by_subject, links_of_method
from bennu.users.model import AuthMethod, User
from bennu.users.store import find_user, insert_user
from fakes.accounts import Accounts

ALICE = Identity(
    AuthMethod.LDAP,
    "ldap",
    "",
    "guid-1",
    "alice@corp.test",
    "Alice Able",
    role="MEMBER",
    login_name="alice",
)
CAROL = Identity(
    AuthMethod.OAUTH2,
    "google",
    "https://accounts.test",
    "sub-7",
    "carol@corp.test",
    "Carol",
    email_verified=True,
    client_id="bennu",
)


async def admit(
    accounts: Accounts, identity: Identity, *, allow_sign_up: bool = True
) -> Admitted | Refused:
    now = to_microseconds(accounts.clock.now_utc())
    return await accounts.database.write(
        lambda c: admit_identity(c, identity, allow_sign_up=allow_sign_up, now=now)
    )


async def admitted(accounts: Accounts, identity: Identity, **rules: bool) -> Admitted:
    found = await admit(accounts, identity, **rules)
    assert isinstance(found, Admitted), found
    return found


async def reason(accounts: Accounts, identity: Identity, **rules: bool) -> RefusalReason:
    found = await admit(accounts, identity, **rules)
    assert isinstance(found, Refused), found
    return found.reason


async def in_advance(accounts: Accounts, identity: Identity, **values: Any) -> User:
    """Make the account that an admin makes before the person comes."""
    now = to_microseconds(accounts.clock.now_utc())
    row = {
        "email": identity.email,
        "username": f"made for {identity.email}",
        "auth_method": identity.method,
        "active": True,
        "is_system": False,
        "password_needs_reset": False,
        "created_at": now,
        "updated_at": now,
        **values,
    }

    def work(connection: Connection) -> User:
        found = find_user(connection, insert_user(connection, row, "VIEWER"))
        assert found is not None
        return found

    return await accounts.database.write(work)


async def change(accounts: Accounts, user: User, **values: Any) -> None:
    statement = update(users).where(users.c.id == user.row_id).values(**values)
    await accounts.database.write(lambda c: c.execute(statement))


@pytest.mark.parametrize("identity", [ALICE, CAROL])
async def test_sign_up_makes_an_account_once(accounts: Accounts, identity: Identity) -> None:
    made = await admitted(accounts, identity)
    assert (made.user.email, made.user.auth_method) == (identity.email, identity.method)
    assert made.user.role == (identity.role or "VIEWER")
    assert made.user.username == identity.display_name
    assert made.user.password_hash is None
    assert [event.name for event in made.events] == ["user.created"]
    again = await admitted(accounts, identity, allow_sign_up=False)
    assert again.user.row_id == made.user.row_id
    assert again.events == ()


@pytest.mark.parametrize("identity", [ALICE, CAROL])
async def test_without_sign_up_only_who_is_known_comes_in(
    accounts: Accounts, identity: Identity
) -> None:
    assert await reason(accounts, identity, allow_sign_up=False) == "sign_in_not_allowed"


@pytest.mark.asvs("6.8.1")
@pytest.mark.parametrize("allow_sign_up", [True, False])
@pytest.mark.parametrize(
    ("identity", "theirs"),
    [(ALICE, "LOCAL"), (ALICE, "OAUTH2"), (ALICE, "SYSTEM"), (CAROL, "LOCAL"), (CAROL, "LDAP")],
)
async def test_an_account_of_another_way_in_is_never_taken_over(
    accounts: Accounts, identity: Identity, theirs: str, *, allow_sign_up: bool
) -> None:
    method, is_system = ("LOCAL", True) if theirs == "SYSTEM" else (theirs, False)
    taken = await in_advance(accounts, identity, auth_method=method, is_system=is_system)
    found = await reason(accounts, identity, allow_sign_up=allow_sign_up)
    assert found == RefusalReason.EMAIL_IN_USE
    assert await accounts.read_user(taken) == taken


async def test_what_the_directory_says_is_followed(accounts: Accounts) -> None:
    made = await admitted(accounts, ALICE)
    before = await accounts.database.read(read_security_epoch)
    moved = replace(ALICE, email="a.able@corp.test", display_name="Alice Baker", role="ADMIN")
    now = await admitted(accounts, moved)
    assert now.user.row_id == made.user.row_id
    assert (now.user.email, now.user.username) == ("a.able@corp.test", "Alice Baker")
    assert now.user.role == "ADMIN"
    (event,) = now.events
    assert event.name == "role.assigned"
    assert event.before is not None
    assert event.after is not None
    assert (event.before["role"], event.after["role"]) == ("MEMBER", "ADMIN")
    assert event.after.keys() == {"role", "email_changed", "username_changed"}
    # The role holds for the next request with credentials that were checked before.
    assert await accounts.database.read(read_security_epoch) == before + 1


async def test_a_provider_keeps_role_and_name_where_it_says_none(accounts: Accounts) -> None:
    made = await admitted(accounts, replace(CAROL, role="ADMIN", picture="https://x.test/1.png"))
    again = await admitted(accounts, replace(CAROL, display_name="Somebody Else", picture=None))
    assert (again.user.role, again.user.username) == ("ADMIN", "Carol")
    assert again.user.row_id == made.user.row_id


async def test_an_account_is_written_only_when_something_changed(accounts: Accounts) -> None:
    pictured = replace(CAROL, picture="https://x.test/1.png")
    made = await admitted(accounts, pictured)
    accounts.clock.advance(60)
    await admitted(accounts, pictured)
    assert await accounts.read_user(made.user) == made.user
    await admitted(accounts, replace(CAROL, picture="https://x.test/2.png"))
    found = await accounts.read_user(made.user)
    assert found is not None
    assert found.picture == "https://x.test/2.png"


async def test_an_address_of_somebody_else_is_left_to_them(accounts: Accounts) -> None:
    bob = await accounts.add_user("bob")
    made = await admitted(accounts, ALICE)
    again = await admitted(accounts, replace(ALICE, email=bob.email))
    assert again.kept_email
    assert again.user.email == made.user.email
    assert await accounts.read_user(bob) == bob


async def test_a_new_unique_id_does_not_get_the_account_of_the_same_address(
    accounts: Accounts,
) -> None:
    await admitted(accounts, ALICE)
    found = await reason(accounts, replace(ALICE, subject="guid-2"))
    assert found == RefusalReason.OTHER_IDENTITY


async def test_an_account_made_for_the_directory_is_adopted(accounts: Accounts) -> None:
    made = await in_advance(accounts, ALICE)
    adopted = await admitted(accounts, ALICE, allow_sign_up=False)
    assert adopted.user.row_id == made.row_id
    assert adopted.events[0].after is not None
    assert adopted.events[0].after["external_id_changed"] is True
    (link,) = await accounts.database.read(lambda c: links_by_subject(c, "LDAP", "guid-1"))
    assert (link.row_id, link.login_name, link.provider) == (made.row_id, "alice", "ldap")
    assert await accounts.database.read(lambda c: links_of_method(c, "LDAP")) == (link,)


async def test_without_unique_ids_the_address_is_the_identity(accounts: Accounts) -> None:
    made = await admitted(accounts, replace(ALICE, subject=None))
    again = await admitted(accounts, replace(ALICE, subject=None, display_name="A. Able"))
    assert again.user.row_id == made.user.row_id
    # Once the directory gives unique ids, the account gets its own at the next sign-in.
    linked = await admitted(accounts, ALICE)
    assert linked.user.row_id == made.user.row_id


async def test_people_without_addresses_are_told_apart_by_unique_id(accounts: Accounts) -> None:
    one = await admitted(accounts, replace(ALICE, email=None))
    other = await admitted(accounts, replace(ALICE, email=None, subject="guid-2"))
    assert one.user.email is other.user.email is None
    assert one.user.row_id != other.user.row_id
    assert one.user.username == "Alice Able"
    assert other.user.username.startswith("Alice Able (")


async def test_the_suffix_of_a_name_stays(accounts: Accounts) -> None:
    await accounts.add_user("admin")
    posing = replace(ALICE, display_name="admin")
    first = await admitted(accounts, posing)
    assert first.user.username.startswith("admin (")
    again = await admitted(accounts, posing)
    assert again.user.username == first.user.username
    assert again.events == ()


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ("  Ada\t\r\nLovelace\0 ", "Ada Lovelace"),
        ("\u202eadmin", "admin"),
        ("x" * 999, "x" * 200),
        (" \0 ", "alice"),
    ],
)
async def test_any_display_name_becomes_a_user_name(
    accounts: Accounts, shown: str, kept: str
) -> None:
    assert (await admitted(accounts, replace(ALICE, display_name=shown))).user.username == kept


async def test_deactivated_by_an_admin_stays_out(accounts: Accounts) -> None:
    for identity in (ALICE, CAROL):
        made = await admitted(accounts, identity)
        await change(accounts, made.user, active=False)
        assert await reason(accounts, identity) == RefusalReason.DEACTIVATED


async def test_deactivated_by_the_directory_returns_with_it(accounts: Accounts) -> None:
    made = await admitted(accounts, ALICE)
    await change(accounts, made.user, active=False, deactivated_by=BY_DIRECTORY)
    again = await admitted(accounts, ALICE)
    assert again.user.active
    assert [event.name for event in again.events] == ["user.changed"]
    await change(accounts, made.user, active=False)
    assert await reason(accounts, ALICE) == RefusalReason.DEACTIVATED


@pytest.mark.parametrize(
    ("verified", "allow_sign_up", "is_adopted"),
    [
        (True, True, True),
        (True, False, True),
        (None, True, False),
        (None, False, True),
        (False, True, False),
        (False, False, False),
    ],
)
async def test_who_gets_an_account_made_in_advance(
    accounts: Accounts, *, verified: bool | None, allow_sign_up: bool, is_adopted: bool
) -> None:
    made = await in_advance(accounts, CAROL)
    found = await admit(
        accounts, replace(CAROL, email_verified=verified), allow_sign_up=allow_sign_up
    )
    if is_adopted:
        assert isinstance(found, Admitted)
        assert found.user.row_id == made.row_id
    else:
        assert found == Refused(RefusalReason.EMAIL_IN_USE)


async def test_the_client_that_an_admin_named_counts(accounts: Accounts) -> None:
    made = await in_advance(accounts, CAROL, client_id="another")
    assert await reason(accounts, CAROL) == RefusalReason.EMAIL_IN_USE
    await change(accounts, made, client_id="bennu")
    assert (await admitted(accounts, CAROL)).user.row_id == made.row_id


async def test_the_subject_that_an_admin_named_counts(accounts: Accounts) -> None:
    made = await in_advance(
        accounts, CAROL, subject="sub-7", client_id="bennu", email="old@corp.test"
    )
    found = await admitted(accounts, replace(CAROL, email_verified=False), allow_sign_up=False)
    assert found.user.row_id == made.row_id
    assert found.user.email == "carol@corp.test"


@pytest.mark.asvs("6.8.1", "10.3.3", "10.5.2")
async def test_the_same_subject_elsewhere_is_somebody_else(accounts: Accounts) -> None:
    made = await admitted(accounts, CAROL)
    for other in (
        replace(CAROL, provider="github", email="other@corp.test"),
        replace(CAROL, issuer="https://evil.test", email="more@corp.test"),
    ):
        assert (await admitted(accounts, other)).user.row_id != made.user.row_id
    stranger = replace(CAROL, subject="sub-8")
    assert await reason(accounts, stranger) == RefusalReason.EMAIL_IN_USE


@pytest.mark.parametrize(
    ("text", "email"),
    [
        (" Alice@Corp.Test ", "alice@corp.test"),
        ("bob@intranet", "bob@intranet"),
        ("no address", None),
        ("@corp.test", None),
        ("a@", None),
        ("a b@corp.test", None),
        ("a\0@corp.test", None),
        ("a" * 250 + "@x.test", None),
        ("", None),
    ],
)
def test_addresses_from_outside(text: str, email: str | None) -> None:
    assert outside_email(text) == email
