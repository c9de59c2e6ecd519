"""Providers of the environment and of the database. Spec: lines 91-133, 166."""

import pytest
from sqlalchemy import update

from bennu.kernel.secret import Secret
from bennu.storage.schema import stored_settings
from fakes.accounts import OPERATOR
from fakes.hostile_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider
from fakes.provider_world import ProviderWorld

FIELDS = {"client_id": CLIENT_ID, "display_name": "Stored"}


async def test_a_stored_provider_is_in_use_at_once_and_gone_at_once(
    world: ProviderWorld, provider: HostileProvider
) -> None:
    fields = {**FIELDS, "oidc_config_url": provider.config_url}
    async with world.browser() as browser:
        assert (await browser.get("/oauth2/mine/login")).status_code == 307
        await world.stored.change_provider(OPERATOR, "mine", fields, Secret(CLIENT_SECRET))
        assert [p.name for p in await world.providers.all()] == ["corp", "mine"]
        assert (await world.sign_in_at(provider, browser, "mine")).status_code == 302
        await world.stored.delete_provider(OPERATOR, "mine")
        assert (await browser.get("/oauth2/mine/login")).status_code == 307
    assert await world.providers.find("mine") is None


async def test_the_environment_wins_by_name(quick_world: ProviderWorld) -> None:
    found = await quick_world.providers.find("corp")
    assert found is not None
    assert found.display_name == "Corp"


async def test_a_stored_provider_that_does_not_pass_any_more_is_left_out(
    quick_world: ProviderWorld, caplog: pytest.LogCaptureFixture
) -> None:
    fields = {**FIELDS, "oidc_config_url": "https://idp.example/x"}
    await quick_world.stored.change_provider(OPERATOR, "mine", fields, Secret(CLIENT_SECRET))
    changed = update(stored_settings).values(plain='{"client_id": "x"}')
    await quick_world.accounts.database.write(lambda c: c.execute(changed))
    assert await quick_world.providers.find("mine") is None
    assert "oauth2.stored_provider.unusable" in caplog.text
