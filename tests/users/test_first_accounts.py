"""The accounts of a new server: made once, the first password good for changing it."""

import pytest
from sqlalchemy import Connection

from bennu.audit.events import EventName
from bennu.kernel.ids import global_id
from bennu.users.first_accounts import FirstAccounts
from bennu.users.model import FIRST_ADMIN_EMAIL, SYSTEM_EMAIL, USER, AuthMethod, User
from bennu.users.store import find_user_by_email, newest_users
from fakes.accounts import CIPHER, OPERATOR, PASSWORD, Accounts

ADMINS = (("Ada", "ada@example.com"), ("Bob", "bob@example.com"))


@pytest.fixture
def first(accounts: Accounts) -> FirstAccounts:
    return FirstAccounts(
        accounts.database, accounts.clock, CIPHER, accounts.audit, accounts.passwords
    )


async def users(accounts: Accounts) -> dict[str, User]:
    def work(connection: Connection) -> dict[str, User]:
        return {user.email or "": user for user in newest_users(connection, 100, None)}

    return await accounts.database.read(work)


@pytest.mark.asvs("6.3.2")
async def test_the_system_user_and_the_first_admin_are_made_once(
    accounts: Accounts, first: FirstAccounts
) -> None:
    assert await first.make_first_accounts(PASSWORD, ()) is True
    assert await first.make_first_accounts(PASSWORD, ()) is False
    made = await users(accounts)
    assert set(made) == {SYSTEM_EMAIL, FIRST_ADMIN_EMAIL}
    admin, system = made[FIRST_ADMIN_EMAIL], made[SYSTEM_EMAIL]
    assert (admin.role, admin.password_needs_reset) == ("ADMIN", True)
    assert (system.role, system.is_system, system.password_hash) == ("SYSTEM", True, None)
    assert await accounts.events() == [EventName.USER_CREATED] * 2


async def test_without_authentication_nobody_is_told_a_password(
    accounts: Accounts, first: FirstAccounts
) -> None:
    assert await first.make_first_accounts(None, ADMINS) is False
    assert set(await users(accounts)) == {SYSTEM_EMAIL}
    assert await first.make_first_accounts(PASSWORD, ADMINS) is True
    assert set(await users(accounts)) > {"ada@example.com", "bob@example.com"}


async def test_where_somebody_is_an_admin_no_first_one_is_made(
    accounts: Accounts, first: FirstAccounts
) -> None:
    await accounts.add_user("root", "ADMIN")
    assert await first.make_first_accounts(PASSWORD, ()) is False
    assert FIRST_ADMIN_EMAIL not in await users(accounts)


@pytest.mark.parametrize("method", list(AuthMethod))
async def test_named_admins_have_no_password_yet(
    accounts: Accounts, first: FirstAccounts, method: AuthMethod
) -> None:
    await first.make_first_accounts(PASSWORD, ADMINS, method)
    ada = (await users(accounts))["ada@example.com"]
    assert (ada.username, ada.role, ada.auth_method) == ("Ada", "ADMIN", method)
    assert ada.password_hash is None
    assert ada.password_needs_reset is (method is AuthMethod.LOCAL)


async def test_a_named_admin_who_was_deleted_does_not_come_back(
    accounts: Accounts, first: FirstAccounts
) -> None:
    await first.make_first_accounts(PASSWORD, ADMINS)
    ada = (await users(accounts))["ada@example.com"]
    await accounts.users.delete_user(OPERATOR, global_id(USER, ada.row_id))
    await first.make_first_accounts(PASSWORD, (*ADMINS, ("Cy", "cy@example.com")))
    found = await users(accounts)
    assert "ada@example.com" not in found
    assert found["cy@example.com"].role == "ADMIN"


async def test_an_account_that_exists_stays_as_it_is(
    accounts: Accounts, first: FirstAccounts
) -> None:
    ada = await accounts.add_user("ada", "VIEWER")
    await first.make_first_accounts(PASSWORD, ADMINS)
    found = await accounts.database.read(lambda c: find_user_by_email(c, "ada@example.com"))
    assert found == ada
