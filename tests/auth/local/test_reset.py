"""A forgotten password: the same answer for any address, a link that works once and briefly."""

import re

import pytest
from sqlalchemy import select

from bennu.audit.events import EventName
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.local.mails import MAILS_PER_HOUR
from bennu.auth.lockout import TooManyFailuresError
from bennu.kernel.errors import InvalidError, SchemaError, UnauthenticatedError, UnavailableError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.storage.schema import audit_events, credentials
from bennu.users.model import UserChange
from fakes.accounts import OPERATOR, PASSWORD, STRANGER, Accounts

NEW = Secret("quite another battery")
EMAIL = "ada@example.com"


async def link_token(accounts: Accounts, email: str = EMAIL) -> str:
    """Ask for a link and return the token of the mail."""
    await accounts.reset.request_reset(STRANGER, email)
    (mail,) = await accounts.sent_mails()
    assert mail.to == EMAIL
    found = re.search(
        r"^https://bennu\.example\.com/root/reset-password-with-token\?token=(\S+)$",
        mail.text,
        re.MULTILINE,
    )
    assert found is not None
    return found[1]


async def reset(accounts: Accounts, token: str, password: Secret = NEW) -> None:
    await accounts.reset.reset_password(STRANGER, token, password)


async def refused(accounts: Accounts, token: str) -> bool:
    with pytest.raises(UnauthenticatedError, match=r"^Invalid token$"):
        await reset(accounts, token)
    return True


@pytest.mark.asvs("6.4.3", "7.4.3")
async def test_a_link_sets_a_new_password_and_ends_all_sessions(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD, must_change=True)
    token = (await accounts.open(ada)).access
    caller = await accounts.sign_in(await accounts.add_user("bob"))
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k"))).text
    await reset(accounts, await link_token(accounts, f"  {EMAIL.upper()} "))
    assert not await accounts.works(token)
    assert await accounts.works(key)
    changed = await accounts.read_user(ada)
    assert changed is not None
    assert changed.password_needs_reset is False
    await accounts.local.sign_in_with_password(STRANGER, EMAIL, NEW)
    with pytest.raises(UnauthenticatedError):
        await accounts.local.sign_in_with_password(STRANGER, EMAIL, PASSWORD)
    assert (await accounts.events())[-4:-1] == [
        EventName.PASSWORD_RESET_REQUESTED,
        EventName.PASSWORD_RESET,
        EventName.SIGN_IN_SUCCEEDED,
    ]


@pytest.mark.asvs("2.3.1", "6.4.3")
async def test_a_link_works_once(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    token = await link_token(accounts)
    await reset(accounts, token)
    assert await refused(accounts, token)


async def test_only_the_newest_link_works(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    older, newer = await link_token(accounts), await link_token(accounts)
    assert await refused(accounts, older)
    await reset(accounts, newer)


@pytest.mark.asvs("6.4.1")
async def test_a_link_works_for_minutes(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    token = await link_token(accounts)
    accounts.clock.advance(15 * 60)
    assert await refused(accounts, token)


async def test_a_password_that_breaks_a_rule_does_not_use_the_link_up(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    token = await link_token(accounts)
    for password in ("short", "password1234", EMAIL, PASSWORD.reveal()):
        with pytest.raises(SchemaError):
            await reset(accounts, token, Secret(password))
    with pytest.raises(InvalidError, match="Password required"):
        await reset(accounts, token, Secret(""))
    await reset(accounts, token)


async def test_a_new_password_makes_older_links_worthless(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    token = await link_token(accounts)
    change = UserChange(password=Secret("given by an admin 1"))
    await accounts.users.change_user(OPERATOR, global_id("User", ada.row_id), change)
    assert await refused(accounts, token)
    token = await link_token(accounts)
    await accounts.users.change_user(
        OPERATOR, global_id("User", ada.row_id), UserChange(active=False)
    )
    assert await refused(accounts, token)


async def test_what_is_no_link_is_refused(accounts: Accounts) -> None:
    ada = await accounts.add_user(password=PASSWORD)
    pair = await accounts.open(ada)
    token = await link_token(accounts)
    flipped = token[:30] + ("a" if token[30] != "a" else "b") + token[31:]
    for text in ("", "x", flipped, pair.access.reveal(), pair.refresh.reveal()):
        assert await refused(accounts, text)
    assert not await accounts.works(Secret(token))


async def test_an_account_without_a_password_gets_its_first_one(accounts: Accounts) -> None:
    await accounts.add_user()
    await reset(accounts, await link_token(accounts))
    await accounts.local.sign_in_with_password(STRANGER, EMAIL, NEW)


@pytest.mark.asvs("6.4.3")
async def test_for_other_addresses_nothing_is_sent_and_nobody_is_told(accounts: Accounts) -> None:
    await accounts.add_user("idle", password=PASSWORD, active=False)
    await accounts.add_user("system", "SYSTEM")
    await accounts.add_user("remote", auth_method="LDAP")
    for name in ("nobody", "idle", "system", "remote"):
        await accounts.reset.request_reset(STRANGER, f"{name}@example.com")
    await accounts.reset.request_reset(STRANGER, "no address at all\0")
    assert await accounts.sent_mails() == []
    assert await accounts.database.read(lambda c: c.execute(select(credentials)).first()) is None
    reasons = await accounts.database.read(
        lambda c: set(c.execute(select(audit_events.c.reason)).scalars())
    )
    assert reasons == {"unknown_user", "deactivated", "no_password_here"}


async def test_asking_reads_nothing_of_the_account(accounts: Accounts) -> None:
    """Everything that depends on the address waits for the background."""
    await accounts.add_user(password=PASSWORD)
    await accounts.reset.request_reset(STRANGER, EMAIL)
    assert accounts.mails == []
    assert await accounts.events() == []
    assert len(await accounts.sent_mails()) == 1


async def test_without_a_mail_server_it_is_said_so(accounts: Accounts) -> None:
    accounts.mail_server = None
    for email in (EMAIL, "nobody@example.com"):
        with pytest.raises(UnavailableError, match=r"^SMTP server not configured$"):
            await accounts.reset.request_reset(STRANGER, email)
    with pytest.raises(InvalidError, match=r"^Email required$"):
        await accounts.reset.request_reset(STRANGER, " ")


async def test_nobodys_box_is_filled(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    for _ in range(MAILS_PER_HOUR + 2):
        await accounts.reset.request_reset(STRANGER, EMAIL)
    assert len(await accounts.sent_mails()) == MAILS_PER_HOUR
    accounts.clock.advance(3600)
    await link_token(accounts)


async def test_a_reset_forgives_failed_sign_ins(accounts: Accounts) -> None:
    await accounts.add_user(password=PASSWORD)
    for _ in range(accounts.settings.brute_force_max_attempts):
        with pytest.raises(UnauthenticatedError):
            await accounts.local.sign_in_with_password(STRANGER, EMAIL, Secret("wrong"))
    with pytest.raises(TooManyFailuresError):
        await accounts.local.sign_in_with_password(STRANGER, EMAIL, PASSWORD)
    await reset(accounts, await link_token(accounts))
    await accounts.local.sign_in_with_password(STRANGER, EMAIL, NEW)


async def test_a_new_account_is_welcomed_without_its_password(accounts: Accounts) -> None:
    user = {
        "email": EMAIL,
        "username": "ada",
        "role": "MEMBER",
        "password": "a first Password of 7",
    }
    async with accounts.client(await admin_token(accounts)) as client:
        for welcome in (True, False):
            body = {"user": user, "send_welcome_email": welcome}
            assert (await client.post("/v1/users", json=body)).status_code == 201
            user |= {"email": "b@example.com", "username": "b"}
    (mail,) = await accounts.sent_mails()
    assert mail.to == EMAIL
    assert "https://bennu.example.com/root" in mail.text
    assert "first Password" not in mail.text


async def admin_token(accounts: Accounts) -> Secret:
    return (await accounts.open(await accounts.add_user("root", "ADMIN"))).access
