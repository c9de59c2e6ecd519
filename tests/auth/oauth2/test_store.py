"""Whose sessions a provider means; on both databases."""

from bennu.auth.oauth2.store import sessions_at_provider
from fakes.hostile_provider import HostileProvider
from fakes.provider_world import ProviderWorld


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
