"""Seeing sessions and ending them; what was ended is refused at once."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bennu.access import Caller
from bennu.audit.events import EventName
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.sessions.flow import SESSION
from bennu.auth.sessions.overview import SessionOverview
from bennu.kernel.errors import DeniedError, InvalidError, NotFoundError
from bennu.kernel.ids import global_id
from bennu.kernel.secret import Secret
from bennu.users.flow import Users
from bennu.users.model import User, UserChange
from fakes.accounts import CIPHER, OPERATOR, STRANGER, Accounts


def session_id(caller: Caller) -> str:
    return global_id(SESSION, caller.principal.session_id or 0)


async def test_sessions_are_listed_with_when_from_where_and_client(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    await accounts.sign_in(await accounts.add_user("bob"))
    await accounts.open(ada)
    accounts.clock.advance(60)
    caller = await accounts.sign_in(ada)
    newer, older = await accounts.overview.list_own_sessions(caller)
    assert newer.row_id == caller.principal.session_id
    assert newer.last_used_at - older.last_used_at == 60_000_000
    assert (newer.address, newer.user_agent) == (STRANGER.address, STRANGER.user_agent)
    assert newer.methods == ("password",)
    assert newer.expires_at - newer.created_at == timedelta(days=7) // timedelta(microseconds=1)
    assert await accounts.overview.list_sessions_of(global_id("User", ada.row_id)) == [newer, older]


async def test_what_has_expired_is_not_listed(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    await accounts.open(ada)
    accounts.clock.advance(timedelta(days=7))
    caller = await accounts.sign_in(ada)
    assert len(await accounts.overview.list_own_sessions(caller)) == 1


async def test_one_session_is_ended_at_once(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    token, other = (await accounts.open(ada)).access, (await accounts.open(ada)).access
    caller, ended = await accounts.caller(token), await accounts.caller(other)
    assert await accounts.overview.end_own_session(caller, session_id(ended)) is False
    assert await accounts.works(token)
    assert not await accounts.works(other)
    with pytest.raises(NotFoundError):
        await accounts.overview.end_own_session(caller, session_id(ended))
    assert await accounts.overview.end_own_session(caller, session_id(caller)) is True
    assert not await accounts.works(token)
    assert await accounts.events() == [EventName.SESSION_ENDED] * 2


@pytest.mark.asvs("8.2.2")
async def test_the_session_of_somebody_else_is_not_there(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user())
    token = (await accounts.open(await accounts.add_user("bob"))).access
    for identifier in (session_id(await accounts.caller(token)), "nonsense"):
        with pytest.raises(NotFoundError):
            await accounts.overview.end_own_session(caller, identifier)
    assert await accounts.works(token)
    assert await accounts.events() == []


@pytest.mark.parametrize("keep_current", [True, False])
async def test_all_sessions_are_ended_or_all_others(accounts: Accounts, keep_current: bool) -> None:
    ada = await accounts.add_user()
    token, other = (await accounts.open(ada)).access, (await accounts.open(ada)).access
    caller = await accounts.caller(token)
    ended = await accounts.overview.end_own_sessions(caller, keep_current=keep_current)
    assert ended == (1 if keep_current else 2)
    assert await accounts.works(token) is keep_current
    assert not await accounts.works(other)
    again = await accounts.overview.end_own_sessions(caller, keep_current=keep_current)
    assert again == 0
    assert await accounts.events() == [EventName.SESSION_ENDED]


async def test_a_key_has_no_sessions(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user())
    key = await accounts.caller((await accounts.keys.create_user_key(caller, NewApiKey("k"))).text)
    with pytest.raises(DeniedError):
        await accounts.overview.list_own_sessions(key)
    with pytest.raises(DeniedError):
        await accounts.overview.end_own_sessions(key, keep_current=True)
    with pytest.raises(DeniedError):
        await accounts.overview.end_own_session(key, session_id(caller))


@pytest.mark.asvs("7.4.5")
async def test_an_admin_ends_the_sessions_of_a_user_and_keys_stay(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    token = (await accounts.open(ada)).access
    caller = await accounts.caller(token)
    key = (await accounts.keys.create_user_key(caller, NewApiKey("k"))).text
    identifier = global_id("User", ada.row_id)
    assert await accounts.overview.end_sessions_of(OPERATOR, identifier) == 1
    assert not await accounts.works(token)
    assert await accounts.works(key)
    for wrong, error in (("nonsense", InvalidError), (global_id("User", 999), NotFoundError)):
        with pytest.raises(error):
            await accounts.overview.end_sessions_of(OPERATOR, wrong)


async def test_nobody_ends_sessions_of_an_account_above_their_own(accounts: Accounts) -> None:
    await accounts.roles.create_role(OPERATOR, "desk", None, ["users:manage"])
    desk = await accounts.sign_in(await accounts.add_user("dee", "desk"))
    admin = await accounts.add_user("adm", "ADMIN")
    token = (await accounts.open(admin)).access
    with pytest.raises(DeniedError, match="above"):
        await accounts.overview.end_sessions_of(desk, global_id("User", admin.row_id))
    assert await accounts.works(token)


class SlowUsers(Users):
    """Something happens to an account after it was read."""

    meanwhile: Callable[[str], Awaitable[object]]

    async def get_user(self, identifier: str) -> User:
        found = await super().get_user(identifier)
        await self.meanwhile(identifier)
        return found


def slow_overview(
    accounts: Accounts, meanwhile: Callable[[str], Awaitable[object]]
) -> SessionOverview:
    of = accounts
    users = SlowUsers(of.database, of.clock, CIPHER, of.audit, of.passwords, of.guard)
    users.meanwhile = meanwhile
    return SessionOverview(of.database, of.clock, of.audit, users, of.activity)


async def test_an_account_that_rose_meanwhile_is_above(accounts: Accounts) -> None:
    await accounts.roles.create_role(OPERATOR, "desk", None, ["users:manage"])
    desk = await accounts.sign_in(await accounts.add_user("dee", "desk"))
    eve = await accounts.add_user("eve", "desk")
    tokens: list[Secret] = []

    async def rise(identifier: str) -> None:
        await accounts.users.change_user(OPERATOR, identifier, UserChange(role="ADMIN"))
        tokens.append((await accounts.open(eve)).access)

    with pytest.raises(DeniedError, match="above"):
        await slow_overview(accounts, rise).end_sessions_of(desk, global_id("User", eve.row_id))
    assert await accounts.works(tokens[0])


async def test_an_account_that_is_gone_meanwhile_is_not_there(accounts: Accounts) -> None:
    ada = await accounts.add_user()

    async def delete(identifier: str) -> None:
        await accounts.users.delete_user(OPERATOR, identifier)

    with pytest.raises(NotFoundError):
        await slow_overview(accounts, delete).end_sessions_of(
            OPERATOR, global_id("User", ada.row_id)
        )


@pytest.mark.asvs("7.1.2")
async def test_any_number_of_sessions_may_stand_side_by_side(accounts: Accounts) -> None:
    """As docs/compliance/security-decisions.md says: none is ended because of another."""
    ada = await accounts.add_user()
    tokens = [(await accounts.open(ada)).access for _ in range(30)]
    assert all([await accounts.works(token) for token in tokens])
    caller = await accounts.caller(tokens[0])
    assert len(await accounts.overview.list_own_sessions(caller)) == 30
    page = Path(__file__).parents[3] / "docs" / "compliance" / "security-decisions.md"
    assert "An account may have any number of sessions at a time" in page.read_text("utf-8")
