"""What happens to accounts; never above the caller, and never to the last admin."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bennu.access import ADMIN, Caller
from bennu.audit.events import EventName
from bennu.auth.api_keys.flow import NewApiKey
from bennu.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    MalformedError,
    NotFoundError,
    SchemaError,
)
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.storage.schema import audit_events
from bennu.users.model import USER, NewUser, User, UserChange
from fakes.accounts import OPERATOR, PASSWORD, STRANGER, Accounts

NEW = Secret("quite another battery")
ADA = NewUser("Ada@Example.com", " Ada ", "member", password=NEW)


def id_of(user: User) -> str:
    return global_id(USER, user.row_id)


async def desk(accounts: Accounts) -> Caller:
    """Sign in somebody who manages accounts and may do nothing else."""
    await accounts.roles.create_role(OPERATOR, "desk", None, ["users:manage"])
    return await accounts.sign_in(await accounts.add_user("dee", "desk"))


async def last_record(accounts: Accounts) -> dict[str, Any]:
    def work(connection: Connection) -> dict[str, Any]:
        newest = select(audit_events).order_by(audit_events.c.sequence.desc()).limit(1)
        return dict(connection.execute(newest).mappings().one())

    return await accounts.database.read(work)


# --- making --------------------------------------------------------------------------------


async def test_an_account_is_made_with_a_password_that_must_be_changed(accounts: Accounts) -> None:
    made = await accounts.users.create_user(OPERATOR, ADA)
    assert (made.email, made.username, made.role) == ("ada@example.com", "Ada", "MEMBER")
    assert (made.active, made.password_needs_reset) == (True, True)
    pair = await accounts.local.sign_in_with_password(STRANGER, "ada@example.com", NEW)
    assert (await accounts.caller(pair.access)).principal.must_change_password
    assert NEW.reveal() not in str(await last_record(accounts))


async def test_an_account_that_signs_in_elsewhere_has_no_password(accounts: Accounts) -> None:
    new = NewUser("a@example.com", "a", "VIEWER", "OAUTH2", NEW, "client", "subject")
    made = await accounts.users.create_user(OPERATOR, new)
    assert (made.password_hash, made.password_needs_reset) == (None, False)


@pytest.mark.asvs("2.2.1", "2.2.2")
@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewUser("nonsense", "ada", "MEMBER", password=NEW), "email"),
        (NewUser("a@example.com", "", "MEMBER", password=NEW), "username"),
        (NewUser("a@example.com", "ada", "OWNER", password=NEW), "role"),
        (NewUser("a@example.com", "ada", "SYSTEM", password=NEW), "role"),
        (NewUser("a@example.com", "ada", "MEMBER", password=Secret("short")), "password"),
        (NewUser("a@example.com", "ada", "MEMBER", password=Secret("a@example.com")), "password"),
    ],
)
async def test_a_wrong_field_is_named(accounts: Accounts, new: NewUser, field: str) -> None:
    with pytest.raises(SchemaError) as refused:
        await accounts.users.create_user(OPERATOR, new)
    assert refused.value.problems[0].loc == ("body", "user", field)
    assert await accounts.events() == []


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (NewUser("ada@example.com", "eve", "MEMBER", password=NEW), "Email already exists"),
        (NewUser("eve@example.com", "ada", "MEMBER", password=NEW), "Username already exists"),
    ],
)
async def test_name_and_address_are_taken_once(accounts: Accounts, new: NewUser, text: str) -> None:
    await accounts.add_user("ada")
    with pytest.raises(ConflictError, match=f"^{text}$"):
        await accounts.users.create_user(OPERATOR, new)


@pytest.mark.asvs("2.3.4")
async def test_one_of_two_that_want_the_same_name_at_once_is_refused(accounts: Accounts) -> None:
    made = await asyncio.gather(
        *(accounts.users.create_user(OPERATOR, ADA) for _ in range(4)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in made) == ["ConflictError"] * 3 + ["User"]


# --- changing ------------------------------------------------------------------------------


@pytest.mark.asvs("7.4.2")
@pytest.mark.parametrize(
    ("change", "event"),
    [
        (UserChange(role="VIEWER"), EventName.ROLE_ASSIGNED),
        (UserChange(password=NEW), EventName.USER_CHANGED),
        (UserChange(active=False), EventName.USER_CHANGED),
    ],
)
async def test_a_change_of_authority_ends_the_sessions_at_once(
    accounts: Accounts, change: UserChange, event: EventName
) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    token = (await accounts.open(ada)).access
    await accounts.users.change_user(OPERATOR, id_of(ada), change)
    assert not await accounts.works(token)
    assert (await accounts.events())[-1] == event
    assert NEW.reveal() not in str(await last_record(accounts))


async def test_a_new_name_ends_no_session_and_stands_in_no_record(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    token = (await accounts.open(ada)).access
    changed = await accounts.users.change_user(OPERATOR, id_of(ada), UserChange(username="Eve"))
    assert changed.username == "Eve"
    assert await accounts.works(token)
    assert "username_changed" in str((await last_record(accounts))["after"])
    assert "Eve" not in str((await last_record(accounts))["after"])


async def test_a_password_from_an_admin_must_be_changed_and_keys_stay(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    caller = await accounts.sign_in(ada)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k"))).text
    changed = await accounts.users.change_user(OPERATOR, id_of(ada), UserChange(password=NEW))
    assert changed.password_needs_reset
    assert await accounts.works(key)
    with pytest.raises(SchemaError, match="differ"):
        await accounts.users.change_user(OPERATOR, id_of(ada), UserChange(password=NEW))


async def test_a_deactivated_account_is_closed_with_its_keys_until_it_is_opened(
    accounts: Accounts,
) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    caller = await accounts.sign_in(ada)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k"))).text
    await accounts.users.change_user(OPERATOR, id_of(ada), UserChange(active=False))
    assert not await accounts.works(key)
    await accounts.users.change_user(OPERATOR, id_of(ada), UserChange(active=True))
    assert await accounts.works(key)


async def test_what_changes_nothing_ends_nothing_and_leaves_no_record(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    token = (await accounts.open(ada)).access
    for change in (UserChange(), UserChange(role="member", username="ada", active=True)):
        assert await accounts.users.change_user(OPERATOR, id_of(ada), change) == ada
    assert await accounts.works(token)
    assert await accounts.events() == []


@pytest.mark.asvs("7.5.1", "8.2.3")
async def test_nobody_changes_their_own_role_activity_or_password_this_way(
    accounts: Accounts,
) -> None:
    await accounts.add_user("other", ADMIN)
    ada = await accounts.add_user("ada", ADMIN, password=PASSWORD)
    caller = await accounts.sign_in(ada)
    for change in (
        UserChange(role="VIEWER"),
        UserChange(active=False),
        UserChange(password=NEW),
    ):
        with pytest.raises(DeniedError):
            await accounts.users.change_user(caller, id_of(ada), change)
    with pytest.raises(DeniedError, match="deletes themselves"):
        await accounts.users.delete_user(caller, id_of(ada))


async def test_nobody_gets_hold_of_an_account_above_their_own(accounts: Accounts) -> None:
    caller = await desk(accounts)
    admin = await accounts.add_user("adm", ADMIN, password=PASSWORD)
    for change in (
        UserChange(password=NEW),
        UserChange(role="desk"),
        UserChange(active=False),
        UserChange(username="x"),
    ):
        with pytest.raises(DeniedError, match="above"):
            await accounts.users.change_user(caller, id_of(admin), change)
    with pytest.raises(DeniedError, match="above"):
        await accounts.users.delete_user(caller, id_of(admin))
    peer = await accounts.add_user("pat", "desk")
    with pytest.raises(DeniedError, match="above"):
        await accounts.users.change_user(caller, id_of(peer), UserChange(role=ADMIN))
    await accounts.users.change_user(caller, id_of(peer), UserChange(username="Pat"))


async def test_the_system_user_stays_as_it_is(accounts: Accounts) -> None:
    system = await accounts.add_user("system", "SYSTEM")
    with pytest.raises(DeniedError):
        await accounts.users.change_user(OPERATOR, id_of(system), UserChange(role="VIEWER"))
    with pytest.raises(DeniedError):
        await accounts.users.delete_user(OPERATOR, id_of(system))


# --- the last admin ------------------------------------------------------------------------


@pytest.mark.parametrize("change", [UserChange(role="MEMBER"), UserChange(active=False), None])
async def test_the_last_admin_stays(accounts: Accounts, change: UserChange | None) -> None:
    last = await accounts.add_user("last", ADMIN)
    await accounts.add_user("idle", ADMIN, active=False)
    users, identifier = accounts.users, id_of(last)
    done = (
        users.delete_user(OPERATOR, identifier)
        if change is None
        else users.change_user(OPERATOR, identifier, change)
    )
    with pytest.raises(ConflictError, match="last admin"):
        await done
    assert await accounts.read_user(last) == last


@pytest.mark.asvs("2.3.4")
async def test_two_admins_who_demote_each_other_at_once_leave_one(accounts: Accounts) -> None:
    first, second = await accounts.add_user("a", ADMIN), await accounts.add_user("b", ADMIN)
    await asyncio.gather(
        *(
            accounts.users.change_user(OPERATOR, id_of(user), UserChange(role="VIEWER"))
            for user in (first, second)
        ),
        return_exceptions=True,
    )
    users = [await accounts.read_user(user) for user in (first, second)]
    assert sorted(user.role for user in users if user is not None) == ["ADMIN", "VIEWER"]


# --- one's own account ---------------------------------------------------------------------


@pytest.mark.asvs("6.2.2", "6.2.3", "7.5.1")
async def test_a_new_password_of_ones_own_needs_the_old_one_and_ends_all_sessions(
    accounts: Accounts,
) -> None:
    ada = await accounts.add_user(password=PASSWORD, must_change=True)
    token, other = (await accounts.open(ada)).access, (await accounts.open(ada)).access
    caller = await accounts.caller(token)
    change = UserChange(password=NEW, username="Countess")
    for wrong in (None, Secret(""), Secret("wrong")):
        with pytest.raises(MalformedError):
            await accounts.users.change_own_account(caller, wrong, change)
    changed = await accounts.users.change_own_account(caller, PASSWORD, change)
    assert (changed.username, changed.password_needs_reset) == ("Countess", False)
    assert not await accounts.works(token)
    assert not await accounts.works(other)
    assert (await accounts.events())[-1] == EventName.PASSWORD_CHANGED
    pair = await accounts.local.sign_in_with_password(STRANGER, "ada@example.com", NEW)
    assert not (await accounts.caller(pair.access)).principal.must_change_password


async def test_ones_own_name_changes_without_a_password(accounts: Accounts) -> None:
    await accounts.add_user("bob")
    caller = await accounts.sign_in(await accounts.add_user())
    changed = await accounts.users.change_own_account(caller, None, UserChange(username="Eve"))
    assert changed.username == "Eve"
    with pytest.raises(ConflictError):
        await accounts.users.change_own_account(caller, None, UserChange(username="bob"))


@pytest.mark.parametrize("password", [PASSWORD, Secret("short"), Secret("ada@example.com")])
async def test_ones_own_new_password_keeps_the_rules(accounts: Accounts, password: Secret) -> None:
    caller = await accounts.sign_in(await accounts.add_user(password=PASSWORD))
    with pytest.raises(SchemaError):
        await accounts.users.change_own_account(caller, PASSWORD, UserChange(password=password))


@pytest.mark.asvs("8.2.3")
async def test_a_key_changes_nothing_of_its_owner(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user(password=PASSWORD))
    key = await accounts.caller((await accounts.keys.create_user_key(caller, NewApiKey("k"))).text)
    with pytest.raises(DeniedError):
        await accounts.users.change_own_account(key, PASSWORD, UserChange(password=NEW))


async def test_of_two_changes_of_a_password_at_once_one_wins(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user(password=PASSWORD))
    both = [UserChange(password=NEW), UserChange(password=Secret("and yet another one"))]
    done = await asyncio.gather(
        *(accounts.users.change_own_account(caller, PASSWORD, change) for change in both),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in done) == ["ConflictError", "User"]


# --- deleting and finding ------------------------------------------------------------------


@pytest.mark.asvs("7.4.2")
async def test_a_deleted_account_is_gone_with_sessions_and_keys(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    token = (await accounts.open(ada)).access
    key = (await accounts.keys.create_user_key(await accounts.caller(token), NewApiKey("k"))).text
    await accounts.users.delete_user(OPERATOR, id_of(ada))
    assert not await accounts.works(token)
    assert not await accounts.works(key)
    assert await accounts.read_user(ada) is None
    with pytest.raises(NotFoundError):
        await accounts.users.delete_user(OPERATOR, id_of(ada))
    again = await accounts.add_user(password=PASSWORD)
    assert again.row_id > ada.row_id


@pytest.mark.parametrize(
    ("identifier", "error"),
    [("", InvalidError), ("nonsense", InvalidError), (global_id("Role", 1), InvalidError)],
)
async def test_what_is_no_id_is_refused(
    accounts: Accounts, identifier: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await accounts.users.get_user(identifier)
    with pytest.raises(NotFoundError):
        await accounts.users.get_user(global_id(USER, 999))


async def test_an_account_is_found_by_id_address_and_name(accounts: Accounts) -> None:
    ada = await accounts.add_user("ada")
    # Somebody whose name is somebody else's address must not be taken for them.
    await accounts.add_user("ada@example.com")
    for text in (id_of(ada), " ADA@example.com", "ada"):
        assert await accounts.users.find_account(text) == ada
    with pytest.raises(NotFoundError):
        await accounts.users.find_account("nobody")


async def test_accounts_are_listed_newest_first_page_by_page(accounts: Accounts) -> None:
    made = [await accounts.add_user(name) for name in ("a", "b", "c")]
    page = await accounts.users.list_users(2, None)
    assert page == made[::-1]
    assert await accounts.users.list_users(2, page[2].row_id) == [made[0]]


async def test_a_caller_without_a_person_is_the_system_user(accounts: Accounts) -> None:
    assert await accounts.users.own_account(OPERATOR) is None
    system = await accounts.add_user("system", "SYSTEM")
    ada = await accounts.add_user()
    assert await accounts.users.own_account(OPERATOR) == system
    assert await accounts.users.own_account(await accounts.sign_in(ada)) == ada


@pytest.mark.asvs("10.3.3")
async def test_the_id_of_a_deleted_account_is_never_given_again(accounts: Accounts) -> None:
    """Records, spans and annotations name people and keys by it."""
    ada = await accounts.add_user()
    caller = await accounts.sign_in(ada)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k"))).text
    old_key = (await accounts.caller(key)).principal.credential_id
    await accounts.users.delete_user(OPERATOR, id_of(ada))
    again = await accounts.add_user()
    assert again.email == ada.email
    assert again.row_id > ada.row_id
    caller = await accounts.sign_in(again)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k"))).text
    assert (await accounts.caller(key)).principal.credential_id != old_key
