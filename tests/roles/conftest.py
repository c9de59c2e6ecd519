"""What tests of accounts share."""

from collections.abc import AsyncIterator

import pytest

from bennu.storage.database import Database
from fakes.accounts import Accounts, started_accounts
from fakes.clock import FrozenClock


@pytest.fixture
async def accounts(database: Database, clock: FrozenClock) -> AsyncIterator[Accounts]:
    made = await started_accounts(database, clock)
    yield made
    made.passwords.stop()
