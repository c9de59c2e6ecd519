"""A key is replaced by one like it, and ends when the overlap is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bennu.access import BUILT_IN_ROLES, MEMBER, Caller, Permission
from bennu.auth.api_keys.authority import key_id_of
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.api_keys.making import MadeApiKey
from bennu.auth.api_keys.rules import LATEST_EXPIRY
from bennu.auth.api_keys.store import SYSTEM_KEYS, USER_KEYS
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from bennu.storage.database import Database
from bennu.storage.schema import audit_events
from bennu.traces.projects.store import insert_project
from fakes.accounts import OPERATOR, SETTINGS, Accounts, started_accounts
from fakes.clock import FrozenClock

HOUR = timedelta(hours=1)


async def session_of(accounts: Accounts, name: str = "ada", role: str = "MEMBER") -> Caller:
    return await accounts.sign_in(await accounts.add_user(name, role))


async def rotated(
    accounts: Accounts, caller: Caller, made: MadeApiKey, overlap: timedelta = HOUR
) -> MadeApiKey:
    kind = made.key.kind
    return await accounts.rotation.rotate_key(caller, key_id_of(made.key), kind, overlap)


async def test_both_work_until_the_overlap_is_over(accounts: Accounts) -> None:
    session = await session_of(accounts)
    old = await accounts.keys.create_user_key(session, NewApiKey("key"))
    new = await rotated(accounts, session, old)
    accounts.clock.advance(HOUR - timedelta(seconds=1))
    assert await accounts.works(old.text)
    assert await accounts.works(new.text)
    accounts.clock.advance(1)
    assert not await accounts.works(old.text)
    assert await accounts.works(new.text)
    listed = {key.row_id: key for key in await accounts.keys.list_own_keys(session)}
    assert listed[old.key.row_id].replaced_by == new.key.row_id


async def test_without_overlap_the_old_one_ends_at_once(accounts: Accounts) -> None:
    session = await session_of(accounts)
    old = await accounts.keys.create_user_key(session, NewApiKey("key"))
    assert await accounts.works(old.text)
    new = await rotated(accounts, session, old, timedelta())
    assert not await accounts.works(old.text)
    assert await accounts.works(new.text)


async def test_the_new_one_is_like_the_old_one(accounts: Accounts) -> None:
    await accounts.database.write(lambda c: insert_project(c, "inside", None, 1))
    session = await session_of(accounts)
    wanted = NewApiKey("key", "d", None, ("traces:ingest",), ("inside",))
    old = await accounts.keys.create_user_key(session, wanted)
    accounts.clock.advance(HOUR)
    new = await rotated(accounts, session, old)
    assert new.key.prefix != old.key.prefix
    same = {"row_id": 0, "created_at": 0, "lookup": None}
    assert replace(new.key, **same) == replace(old.key, **same)
    service = await accounts.keys.create_system_key(OPERATOR, NewApiKey("s", role="VIEWER"))
    assert (await rotated(accounts, OPERATOR, service)).key.role == "VIEWER"


async def test_a_lifetime_begins_anew_within_the_limit(
    database: Database, clock: FrozenClock
) -> None:
    limited = replace(SETTINGS, api_key_max_lifetime=timedelta(days=30))
    for settings, lifetime in ((SETTINGS, timedelta(days=90)), (limited, timedelta(days=30))):
        made = await started_accounts(database, clock, settings)
        try:
            session = await session_of(made, f"of-{lifetime.days}")
            wanted = NewApiKey("key", expires_at=clock.now_utc() + lifetime)
            old = await made.keys.create_user_key(session, wanted)
            clock.advance(timedelta(days=2))
            session = await made.caller((await made.open(await _user(made, session))).access)
            new = await rotated(made, session, old)
            assert new.key.expires_at == to_microseconds(clock.now_utc() + lifetime)
        finally:
            made.passwords.stop()


async def test_a_key_made_for_as_long_as_there_are_dates_is_rotated(accounts: Accounts) -> None:
    session = await session_of(accounts)
    wanted = NewApiKey("key", expires_at=LATEST_EXPIRY)
    old = await accounts.keys.create_user_key(session, wanted)
    accounts.clock.advance(HOUR)
    new = await rotated(accounts, session, old)
    assert new.key.expires_at == to_microseconds(LATEST_EXPIRY)


async def _user(accounts: Accounts, session: Caller) -> Any:
    return await accounts.users.get_user(session.principal.public_id)


async def test_an_overlap_does_not_make_a_key_live_longer(accounts: Accounts) -> None:
    session = await session_of(accounts)
    wanted = NewApiKey("key", expires_at=accounts.clock.now_utc() + HOUR / 2)
    old = await accounts.keys.create_user_key(session, wanted)
    await rotated(accounts, session, old)
    accounts.clock.advance(HOUR / 2)
    assert not await accounts.works(old.text)


async def test_what_has_ended_or_was_rotated_is_not_rotated_again(accounts: Accounts) -> None:
    session = await session_of(accounts)
    wanted = NewApiKey("key", expires_at=accounts.clock.now_utc() + timedelta(minutes=1))
    short = await accounts.keys.create_user_key(session, wanted)
    old = await accounts.keys.create_user_key(session, NewApiKey("key"))
    await rotated(accounts, session, old)
    accounts.clock.advance(61)
    for key in (short, old):
        with pytest.raises(ConflictError):
            await rotated(accounts, session, key)


async def test_only_its_owner_rotates_a_users_key(accounts: Accounts) -> None:
    session = await session_of(accounts)
    made = await accounts.keys.create_user_key(session, NewApiKey("key"))
    with pytest.raises(NotFoundError):
        await rotated(accounts, await session_of(accounts, "bob"), made)
    # An admin would hold a key that acts as somebody else.
    with pytest.raises(DeniedError, match="Only its owner"):
        await rotated(accounts, OPERATOR, made)
    with pytest.raises(DeniedError):
        await rotated(accounts, await accounts.caller(made.text), made)
    with pytest.raises(InvalidError):
        await accounts.rotation.rotate_key(session, key_id_of(made.key), SYSTEM_KEYS, HOUR)
    with pytest.raises(InvalidError):
        await accounts.rotation.rotate_key(session, "nonsense", USER_KEYS, HOUR)
    assert await accounts.works(made.text)


async def test_nobody_gets_a_key_above_themselves_by_rotating(accounts: Accounts) -> None:
    service = await accounts.keys.create_system_key(OPERATOR, NewApiKey("s", role="ADMIN"))
    some = BUILT_IN_ROLES[MEMBER] | {Permission.API_KEYS_MANAGE}
    below = replace(OPERATOR, principal=replace(OPERATOR.principal, permissions=some))
    with pytest.raises(DeniedError):
        await rotated(accounts, below, service)
    assert await accounts.works((await rotated(accounts, OPERATOR, service)).text)


async def test_it_is_recorded_without_the_key(accounts: Accounts) -> None:
    session = await session_of(accounts)
    old = await accounts.keys.create_user_key(session, NewApiKey("key"))
    new = await rotated(accounts, session, old)
    row = await accounts.database.read(
        lambda c: c.execute(
            select(audit_events).where(audit_events.c.event == "api_key.rotated")
        ).one()
    )
    assert row.target_id == key_id_of(old.key)
    assert '"overlap_minutes":60' in row.after
    assert new.text.reveal() not in str(tuple(row))
