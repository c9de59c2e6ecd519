"""Sessions over time: rotation, reuse, idle and absolute ends."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bennu.access import Caller, Principal, PrincipalKind
from bennu.audit.log import AuditLog
from bennu.auth.authenticate import Authenticator, Presented
from bennu.auth.sessions.flow import GRACE, Sessions, TokenPair, signed_in
from bennu.auth.settings import AuthSettings
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import UnauthenticatedError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, credentials
from bennu.storage.settings import StorageSettings
from bennu.users.model import User
from bennu.users.store import insert_user
from fakes.clock import FrozenClock

pytestmark = pytest.mark.anyio
KEYRING = Keyring.from_secrets(Secret("0123456789abcdef0123456789abcdef"))
STRANGER = Caller(Principal(PrincipalKind.ANONYMOUS), "192.0.2.1")


class Parts:
    """Sessions and the authenticator over one database and one clock."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        cipher, entropy = Cipher(KEYRING), SystemEntropy()
        self.database, self.clock = database, clock
        self.audit = AuditLog(database, clock, entropy, Vault(cipher, clock, entropy))
        settings = AuthSettings(enabled=True)
        self.sessions = Sessions(database, clock, entropy, cipher, self.audit, settings)
        self.authenticator = Authenticator(database, clock, cipher, settings)

    async def open(self) -> TokenPair:
        def work(connection: Connection) -> TokenPair:
            now = to_microseconds(self.clock.now_utc())
            values: dict[str, Any] = {
                "email": "a@example.com",
                "username": "a",
                "auth_method": "LOCAL",
                "password_needs_reset": False,
                "active": True,
                "is_system": False,
                "created_at": now,
                "updated_at": now,
            }
            user_id = insert_user(connection, values, "MEMBER")
            return self.sessions.open_session(connection, user_id, "password", STRANGER)[1]

        return await self.database.write(work)

    async def works(self, token: Secret) -> bool:
        try:
            presented = Presented((f"Bearer {token.reveal()}",))
            return await self.authenticator.authenticate(presented) is not None
        except UnauthenticatedError:
            return False

    async def refresh(self, token: Secret) -> TokenPair:
        return await self.sessions.refresh_session(token.reveal(), STRANGER)


@pytest.fixture
async def parts(database: Database, clock: FrozenClock) -> Parts:
    made = Parts(database, clock)
    await made.audit.start()
    return made


@pytest.mark.asvs("7.2.2")
async def test_a_session_lives_on_by_refreshes(parts: Parts) -> None:
    pair = await parts.open()
    assert await parts.works(pair.access)
    assert not await parts.works(pair.refresh)
    following = await parts.refresh(pair.refresh)
    assert await parts.works(following.access)
    assert not await parts.works(pair.access)


@pytest.mark.asvs("7.4.1")
async def test_an_access_token_ends_on_time_also_from_the_cache(parts: Parts) -> None:
    pair = await parts.open()
    parts.clock.advance(timedelta(minutes=9, seconds=59))
    assert await parts.works(pair.access)
    parts.clock.advance(1)
    with pytest.raises(UnauthenticatedError, match="Expired token"):
        await parts.authenticator.authenticate(Presented((f"Bearer {pair.access.reveal()}",)))


async def test_a_second_use_within_the_grace_gets_the_same(parts: Parts) -> None:
    pair = await parts.open()
    one = await parts.refresh(pair.refresh)
    parts.clock.advance(GRACE)
    other = await parts.refresh(pair.refresh)
    assert (one.access, one.refresh) == (other.access, other.refresh)


async def test_a_late_second_use_ends_the_family_and_is_recorded(parts: Parts) -> None:
    pair = await parts.open()
    following = await parts.refresh(pair.refresh)
    parts.clock.advance(GRACE + timedelta(seconds=1))
    with pytest.raises(UnauthenticatedError, match="Invalid refresh token"):
        await parts.refresh(pair.refresh)
    assert not await parts.works(following.access)
    with pytest.raises(UnauthenticatedError):
        await parts.refresh(following.refresh)
    events = await parts.database.read(
        lambda c: [row[0] for row in c.execute(select(audit_events.c.event))]
    )
    assert events == ["auth.session.refreshed_twice"]


@pytest.mark.asvs("7.3.2", "7.6.1")
async def test_a_session_ends_at_its_absolute_limit(parts: Parts) -> None:
    pair = await parts.open()
    for _ in range(5):
        parts.clock.advance(timedelta(days=6))
        if parts.clock.now_utc() - timedelta(days=30) >= FrozenClock().now_utc():
            break
        pair = await parts.refresh(pair.refresh)
    with pytest.raises(UnauthenticatedError, match="Expired refresh token"):
        await parts.refresh(pair.refresh)


@pytest.mark.asvs("7.3.1")
async def test_an_idle_session_ends(parts: Parts) -> None:
    pair = await parts.open()
    parts.clock.advance(timedelta(days=7))
    with pytest.raises(UnauthenticatedError, match="Expired refresh token"):
        await parts.refresh(pair.refresh)


async def test_only_sealed_digests_are_kept(parts: Parts) -> None:
    pair = await parts.open()
    await parts.refresh(pair.refresh)
    rows = await parts.database.read(
        lambda c: [tuple(row) for row in c.execute(select(credentials))]
    )
    kept = str(rows)
    assert pair.access.reveal() not in kept
    assert pair.refresh.reveal() not in kept
    assert all(row[3].startswith(KEYRING.current_key_id) for row in rows)


async def test_two_tabs_in_two_processes_get_one_successor(
    parts: Parts, storage_settings: StorageSettings
) -> None:
    pair = await parts.open()
    second = Database(storage_settings, parts.clock)
    await second.start()
    try:
        there = Parts(second, parts.clock)
        await there.audit.start()
        tabs = [parts, there] * 4
        pairs = await asyncio.gather(*(tab.refresh(pair.refresh) for tab in tabs))
    finally:
        await second.stop()
    assert len({(one.access.reveal(), one.refresh.reveal()) for one in pairs}) == 1
    kinds = await parts.database.read(
        lambda c: sorted(row[0] for row in c.execute(select(credentials.c.kind)))
    )
    assert kinds == ["at", "rt", "rt"]


def test_records_of_a_sign_in_name_who_came_in_and_keep_where_from() -> None:
    user = User(7, "a@example.com", "a", "MEMBER", "LOCAL", None, False, True, False, 1, 1)
    caller = Caller(Principal(PrincipalKind.ANONYMOUS), "192.0.2.1", "curl", "request 1")
    found = signed_in(user, 3, caller)
    who = found.principal
    assert (who.kind, who.user_id, who.session_id) == (PrincipalKind.USER, 7, 3)
    assert (who.public_id, who.credential_id) == ("VXNlcjo3", "U2Vzc2lvbjoz")
    assert (who.name, who.role, who.permissions) == ("a", "MEMBER", frozenset())
    assert (found.address, found.user_agent, found.request_id) == ("192.0.2.1", "curl", "request 1")
