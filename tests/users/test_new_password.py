"""A new password of an account: the rules, and the end of its sessions."""

import pytest

from bennu.kernel.errors import ConflictError, SchemaError
from bennu.kernel.secret import Secret
from bennu.users.new_password import NewPasswords
from fakes.accounts import CIPHER, PASSWORD, Accounts

NEW = Secret("quite another battery")


@pytest.fixture
def new_passwords(accounts: Accounts) -> NewPasswords:
    return NewPasswords(accounts.clock, CIPHER, accounts.passwords)


@pytest.mark.asvs("7.4.3")
async def test_a_new_password_is_kept_and_ends_all_sessions(
    accounts: Accounts, new_passwords: NewPasswords
) -> None:
    ada = await accounts.add_user(password=PASSWORD, must_change=True)
    token = (await accounts.open(ada)).access
    hashed = await new_passwords.hash_for(ada, NEW)
    accounts.clock.advance(60)
    await accounts.database.write(lambda c: new_passwords.keep(c, ada.row_id, hashed))
    changed = await accounts.read_user(ada)
    assert changed is not None
    assert await new_passwords.is_current(changed, NEW)
    assert not await new_passwords.is_current(changed, PASSWORD)
    assert changed.password_needs_reset is False
    assert changed.updated_at - ada.updated_at == 60_000_000
    assert not await accounts.works(token)


async def test_a_password_given_by_somebody_else_must_be_changed(
    accounts: Accounts, new_passwords: NewPasswords
) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    hashed = await new_passwords.hash_for(ada, NEW)
    await accounts.database.write(
        lambda c: new_passwords.keep(c, ada.row_id, hashed, {"username": "eve"}, needs_reset=True)
    )
    changed = await accounts.read_user(ada)
    assert changed is not None
    assert (changed.username, changed.password_needs_reset) == ("eve", True)


@pytest.mark.parametrize(
    "password", [PASSWORD.reveal(), "short", "ada@example.com", "password123!"]
)
async def test_a_password_that_breaks_a_rule_or_is_the_old_one_is_refused(
    accounts: Accounts, new_passwords: NewPasswords, password: str
) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    with pytest.raises(SchemaError) as refused:
        await new_passwords.hash_for(ada, Secret(password))
    assert refused.value.problems[0].loc == ("body", "password")


async def test_who_signs_in_elsewhere_has_no_password_here(
    accounts: Accounts, new_passwords: NewPasswords
) -> None:
    with pytest.raises(ConflictError):
        await new_passwords.hash_for(await accounts.add_user(auth_method="LDAP"), NEW)


async def test_an_account_without_a_password_has_no_current_one(
    accounts: Accounts, new_passwords: NewPasswords
) -> None:
    ada = await accounts.add_user()
    assert not await new_passwords.is_current(ada, PASSWORD)
    assert await new_passwords.hash_for(ada, PASSWORD)
