"""One process at a time, and never one that comes back late."""

import pytest

from bennu.privacy.lease import LEASE_SECONDS, Lease, LeaseLostError
from bennu.storage.database import Database
from fakes.clock import FrozenClock

pytestmark = pytest.mark.anyio


async def test_one_holder_until_it_is_over_or_given_back(
    database: Database, clock: FrozenClock
) -> None:
    one, other = Lease("work", "one", clock), Lease("work", "other", clock)
    assert await database.write(one.take)
    assert not await database.write(other.take)
    assert await database.write(Lease("else", "other", clock).take)
    await database.write(one.give_back)
    assert await database.write(other.take)
    clock.advance(LEASE_SECONDS - 1)
    assert not await database.write(one.take)
    await database.write(other.prove)
    clock.advance(LEASE_SECONDS - 1)
    assert not await database.write(one.take)
    clock.advance(1)
    assert await database.write(one.take)
    with pytest.raises(LeaseLostError):
        await database.write(other.prove)
    await database.write(other.give_back)
    await database.write(one.prove)
