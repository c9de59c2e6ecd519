"""What is used up, and whose sessions a provider means; on both databases."""

from sqlalchemy import func, select

from bennu.auth.oauth2.store import sessions_at_provider, use_once
from bennu.storage.database import Database
from bennu.storage.schema import used_once
from fakes.hostile_provider import HostileProvider
from fakes.provider_world import ProviderWorld


async def test_a_value_is_used_once_for_each_purpose(database: Database) -> None:
    async def use(purpose: str, value: str, now: int = 0) -> bool:
        return await database.write(
            lambda c: use_once(c, purpose, value, expires_at=now + 10, now=now)
        )

    assert await use("a", "x")
    assert not await use("a", "x")
    assert await use("b", "x")
    assert await use("a", "x\0y")
    assert await use("a", "x", now=11)
    kept = select(func.count()).select_from(used_once)
    assert await database.read(lambda c: c.execute(kept).scalar_one()) == 1


async def test_sessions_are_found_by_all_that_is_said(
    world: ProviderWorld, provider: HostileProvider
) -> None:
    for number in (1, 2):
        provider.claims = {"sid": f"session-{number}"}
        async with world.browser() as browser:
            await world.sign_in_at(provider, browser)

    async def found(name: str, issuer: str, sid: str | None, sub: str | None) -> int:
        rows = await world.accounts.database.read(
            lambda c: sessions_at_provider(c, name, issuer, sid, sub)
        )
        return len(rows)

    issuer = provider.issuer
    assert await found("corp", issuer, None, "subject-1") == 2
    assert await found("corp", issuer, "session-1", None) == 1
    assert await found("corp", issuer, "session-1", "subject-1") == 1
    assert await found("corp", issuer, "session-1", "subject-2") == 0
    assert await found("other", issuer, None, "subject-1") == 0
    assert await found("corp", "https://other.example", None, "subject-1") == 0
