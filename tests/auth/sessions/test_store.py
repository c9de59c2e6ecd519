"""Rows of sessions and credentials."""

from datetime import timedelta

from sqlalchemy import Connection, func, select

from bennu.auth.api_keys.flow import NewApiKey
from bennu.auth.credential import parse_credential
from bennu.auth.sessions.store import (
    consume_credential,
    delete_session,
    find_bearer,
    session_exists,
)
from bennu.kernel.secret import Secret
from bennu.storage.schema import credentials, sessions
from fakes.accounts import Accounts


def lookup_of(token: Secret) -> str:
    credential = parse_credential(token.reveal())
    assert credential is not None
    return credential.lookup


def counts(connection: Connection) -> tuple[int, int]:
    """Return how many sessions and how many credentials there are."""
    found = [
        connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (sessions, credentials)
    ]
    return found[0], found[1]


async def test_a_credential_is_found_with_all_that_is_known_of_its_owner(
    accounts: Accounts,
) -> None:
    ada = await accounts.add_user(role="ADMIN")
    pair = await accounts.open(ada)
    row = await accounts.database.read(lambda c: find_bearer(c, lookup_of(pair.access)))
    assert row is not None
    assert (row.kind, row.user_id, row.username, row.user_role) == (
        "at",
        ada.row_id,
        "ada",
        "ADMIN",
    )
    assert row.user_active
    assert row.session_id is not None
    assert row.api_key_id is None
    assert await accounts.database.read(lambda c: find_bearer(c, "unknown")) is None


async def test_a_refresh_credential_is_consumed_once(accounts: Accounts) -> None:
    pair = await accounts.open(await accounts.add_user())

    def work(connection: Connection) -> list[bool]:
        row = find_bearer(connection, lookup_of(pair.refresh))
        assert row is not None
        return [consume_credential(connection, row.credential_id, 1, "s") for _ in range(2)]

    assert await accounts.database.write(work) == [True, False]


async def test_a_session_goes_with_its_credentials(accounts: Accounts) -> None:
    caller = await accounts.sign_in(await accounts.add_user())
    session_id = caller.principal.session_id
    assert session_id is not None
    assert await accounts.database.read(lambda c: session_exists(c, session_id))
    assert await accounts.database.write(lambda c: delete_session(c, session_id))
    assert not await accounts.database.write(lambda c: delete_session(c, session_id))
    assert not await accounts.database.read(lambda c: session_exists(c, session_id))
    assert await accounts.database.read(counts) == (0, 0)


async def test_the_sweep_takes_what_is_past_its_time_and_leaves_keys(accounts: Accounts) -> None:
    ada = await accounts.add_user()
    caller = await accounts.sign_in(ada)
    ends = accounts.clock.now_utc() + timedelta(days=1)
    await accounts.keys.create_user_key(caller, NewApiKey("k", expires_at=ends))
    accounts.clock.advance(timedelta(days=5))
    await accounts.open(ada)
    assert await accounts.sessions.sweep_expired_sessions() == 1  # the first access credential
    accounts.clock.advance(timedelta(days=3))
    assert await accounts.sessions.sweep_expired_sessions() == 2  # a session, an access credential
    assert await accounts.database.read(counts) == (1, 2)
