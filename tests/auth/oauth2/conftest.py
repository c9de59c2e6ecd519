"""What tests of sign-in through providers share."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings
from fakes.accounts import Accounts, started_accounts
from fakes.clock import FrozenClock
from fakes.hostile_provider import HostileProvider
from fakes.provider_world import ProviderWorld, provider_settings


@pytest.fixture
def provider(clock: FrozenClock) -> Iterator[HostileProvider]:
    """A provider that behaves until a test makes it lie."""
    with HostileProvider(clock) as made:
        yield made


@pytest.fixture
async def world(accounts: Accounts, provider: HostileProvider) -> ProviderWorld:
    """Sign-in through that provider under the name ``corp``, on both databases."""
    return ProviderWorld(accounts, provider_settings(provider.config_url))


@pytest.fixture
async def quick_accounts(
    sqlite_settings: StorageSettings, clock: FrozenClock
) -> AsyncIterator[Accounts]:
    """Accounts on SQLite alone, for what has nothing to do with the database."""
    database = Database(sqlite_settings, clock)
    await database.start()
    await migrate(database, sqlite_settings)
    made = await started_accounts(database, clock)
    yield made
    made.passwords.stop()
    await database.stop()


@pytest.fixture
async def quick_world(quick_accounts: Accounts, provider: HostileProvider) -> ProviderWorld:
    """The same as ``world`` on SQLite alone."""
    return ProviderWorld(quick_accounts, provider_settings(provider.config_url))
