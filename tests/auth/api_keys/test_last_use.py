"""When and from where a key was used last."""

from typing import Any

import pytest
from sqlalchemy import Connection

from bennu.access import Caller
from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.api_keys.making import MadeApiKey
from bennu.auth.api_keys.store import USER_KEYS, ApiKey, find_api_key
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import UnavailableError
from fakes.accounts import Accounts


async def session_and_key(accounts: Accounts) -> tuple[Caller, MadeApiKey]:
    session = await accounts.sign_in(await accounts.add_user())
    return session, await accounts.keys.create_user_key(session, NewApiKey("key"))


async def stored(accounts: Accounts, made: MadeApiKey) -> ApiKey:
    row_id = made.key.row_id
    found = await accounts.database.read(lambda c: find_api_key(c, USER_KEYS, row_id))
    assert found is not None
    return found


async def use(accounts: Accounts, made: MadeApiKey, address: str = "192.0.2.3") -> None:
    caller = await accounts.caller(made.text)
    accounts.uses.note_use(caller.principal, address)


async def test_a_use_is_written_at_the_next_beat_and_then_once_a_minute(
    accounts: Accounts,
) -> None:
    _, made = await session_and_key(accounts)
    seen = []
    for second in range(0, 130, 5):
        await use(accounts, made, f"192.0.2.{second}")
        await accounts.uses.write_uses()
        seen.append((await stored(accounts, made)).last_used_address)
        accounts.clock.advance(5)
    assert sorted(set(seen), key=seen.index) == ["192.0.2.0", "192.0.2.60", "192.0.2.120"]


async def test_requests_write_nothing(accounts: Accounts) -> None:
    _, made = await session_and_key(accounts)
    async with accounts.client(made.text) as client:
        for _ in range(20):
            assert (await client.get("/v1/user")).status_code == 200
    assert (await stored(accounts, made)).last_used_at is None


async def test_a_list_shows_the_very_last_use(accounts: Accounts) -> None:
    session, made = await session_and_key(accounts)
    await use(accounts, made, "192.0.2.1")
    await accounts.uses.write_uses()
    accounts.clock.advance(3)
    await use(accounts, made, "192.0.2.2")
    (listed,) = await accounts.keys.list_own_keys(session)
    assert listed.last_used_address == "192.0.2.2"
    assert listed.last_used_at == to_microseconds(accounts.clock.now_utc())


async def test_what_another_process_wrote_later_stays(accounts: Accounts) -> None:
    _, made = await session_and_key(accounts)
    await use(accounts, made, "192.0.2.1")
    later = to_microseconds(accounts.clock.now_utc()) + 1

    def other(connection: Connection) -> None:
        from bennu.auth.api_keys.store import write_last_uses  # noqa: PLC0415 - one use

        write_last_uses(connection, {made.key.row_id: (later, "192.0.2.9")})

    await accounts.database.write(other)
    await accounts.uses.write_uses()
    assert (await stored(accounts, made)).last_used_address == "192.0.2.9"


async def test_sessions_are_no_keys(accounts: Accounts) -> None:
    session, made = await session_and_key(accounts)
    accounts.uses.note_use(session.principal, "192.0.2.1")
    await accounts.uses.write_uses(all_uses=True)
    assert (await stored(accounts, made)).last_used_at is None


async def test_a_use_that_could_not_be_written_is_kept(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, made = await session_and_key(accounts)
    await use(accounts, made)

    async def away(*_: object, **__: object) -> None:
        raise UnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(accounts.database, "write", away)
        with pytest.raises(UnavailableError):
            await accounts.uses.write_uses()
    await accounts.uses.write_uses()
    assert (await stored(accounts, made)).last_used_address == "192.0.2.3"


async def test_a_use_during_the_writing_is_written_the_next_time(accounts: Accounts) -> None:
    session, made = await session_and_key(accounts)
    caller = await accounts.caller(made.text)
    accounts.uses.note_use(caller.principal, "192.0.2.1")
    write = accounts.database.write

    async def use_meanwhile(*arguments: Any, **options: Any) -> Any:
        accounts.clock.advance(1)
        accounts.uses.note_use(caller.principal, "192.0.2.2")
        return await write(*arguments, **options)

    accounts.database.write = use_meanwhile  # type: ignore[method-assign]
    await accounts.uses.write_uses()
    accounts.database.write = write  # type: ignore[method-assign]
    assert (await stored(accounts, made)).last_used_address == "192.0.2.1"
    (listed,) = await accounts.keys.list_own_keys(session)
    assert listed.last_used_address == "192.0.2.2"
