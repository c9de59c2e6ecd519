"""A session in use lives on; an idle one ends; its last use is written now and then."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bennu.auth.sessions.activity import SessionActivity
from bennu.auth.sessions.store import SessionRow, live_sessions_of
from bennu.kernel.clock import to_microseconds
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from fakes.accounts import SETTINGS, Accounts, started_accounts
from fakes.clock import FrozenClock


@pytest.fixture
async def brief(database: Database, clock: FrozenClock) -> Accounts:
    """Accounts whose sessions end after five minutes without use, and after an hour anyway."""
    settings = replace(
        SETTINGS,
        session_idle_lifetime=timedelta(minutes=5),
        session_absolute_lifetime=timedelta(hours=1),
        access_lifetime=timedelta(hours=2),
    )
    return await started_accounts(database, clock, settings)


async def use(accounts: Accounts, token: Secret) -> bool:
    """Use a session as a request does."""
    if not await accounts.works(token):
        return False
    accounts.activity.note_use((await accounts.caller(token)).principal)
    return True


async def stored(accounts: Accounts) -> SessionRow:
    now = to_microseconds(accounts.clock.now_utc())
    (row,) = await accounts.database.read(lambda c: live_sessions_of(c, 1, now))
    return row


@pytest.mark.asvs("7.3.1")
async def test_a_session_in_use_lives_on_and_an_idle_one_ends(brief: Accounts) -> None:
    token = (await brief.open(await brief.add_user())).access
    for _ in range(5):
        assert await use(brief, token)
        await brief.activity.write_uses()
        brief.clock.advance(timedelta(minutes=4))
    brief.clock.advance(timedelta(minutes=1))
    assert not await use(brief, token)


@pytest.mark.asvs("7.3.2")
async def test_the_absolute_limit_holds_however_busy_it_is(brief: Accounts) -> None:
    token = (await brief.open(await brief.add_user())).access
    for _ in range(30):
        assert await use(brief, token)
        await brief.activity.write_uses()
        brief.clock.advance(timedelta(minutes=2))
    assert not await use(brief, token)


async def test_a_use_is_written_at_the_next_beat_and_then_now_and_then(brief: Accounts) -> None:
    pair = await brief.open(await brief.add_user())
    began = to_microseconds(brief.clock.now_utc())
    seen = []
    for _ in range(0, 120, 5):
        brief.clock.advance(5)
        assert await use(brief, pair.access)
        await brief.activity.write_uses()
        seen.append(((await stored(brief)).last_used_at - began) // 1_000_000)
    assert brief.activity.every_seconds == 37.5
    assert sorted(set(seen)) == [5, 45, 85]


async def test_a_single_use_soon_after_the_last_write_is_written_in_time(brief: Accounts) -> None:
    token = (await brief.open(await brief.add_user())).access
    began = to_microseconds(brief.clock.now_utc())
    assert await use(brief, token)
    await brief.activity.write_uses()
    brief.clock.advance(30)
    assert await use(brief, token)
    await brief.activity.write_uses()
    assert (await stored(brief)).last_used_at == began
    brief.clock.advance(8)
    await brief.activity.write_uses()
    assert (await stored(brief)).last_used_at == began + 30_000_000


async def test_before_a_list_is_shown_everything_is_written(brief: Accounts) -> None:
    ada = await brief.add_user()
    token = (await brief.open(ada)).access
    caller = await brief.caller(token)
    for seconds in (5, 10):
        brief.clock.advance(5)
        assert await use(brief, token)
        (row,) = await brief.overview.list_own_sessions(caller)
        assert row.last_used_at - row.created_at == seconds * 1_000_000


async def test_a_session_that_has_ended_stays_ended(brief: Accounts) -> None:
    pair = await brief.open(await brief.add_user())
    assert await use(brief, pair.access)
    caller = await brief.caller(pair.access)
    await brief.overview.end_own_sessions(caller, keep_current=False)
    await brief.activity.write_uses(all_uses=True)
    assert not await brief.works(pair.access)


async def test_it_is_written_more_often_than_the_idle_limit(
    database: Database, clock: FrozenClock
) -> None:
    for minutes, seconds in ((7 * 24 * 60, 60), (1, 7.5), (0.1, 0.75)):
        settings = replace(SETTINGS, session_idle_lifetime=timedelta(minutes=minutes))
        assert SessionActivity(database, clock, settings).every_seconds == seconds
