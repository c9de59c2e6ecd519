"""What counts as in use, on both databases."""

from datetime import timedelta

from bennu.kernel.clock import to_microseconds
from bennu.kernel.secret import Secret
from bennu.monitoring.query import InUse, count_in_use
from bennu.storage.database import Database
from bennu.storage.schema import api_keys
from fakes.accounts import Accounts
from fakes.clock import FrozenClock


async def test_what_is_over_does_not_count(database: Database, clock: FrozenClock) -> None:
    accounts = Accounts(database, clock)

    async def counted() -> InUse:
        now = to_microseconds(clock.now_utc())
        return await database.read(lambda connection: count_in_use(connection, now))

    assert (await counted()).sessions == 0
    user = await accounts.add_user(password=Secret("correct horse battery"))
    await accounts.add_user("bob", active=False)
    await accounts.add_user("machine", role="SYSTEM")
    await accounts.open(user)
    now = to_microseconds(clock.now_utc())
    row = {"kind": "user", "user_id": user.row_id, "name": "k", "created_at": now}
    rows = [{**row, "expires_at": expiry} for expiry in (None, now + 1, now - 1)]
    await database.write(lambda connection: connection.execute(api_keys.insert(), rows))
    found = await counted()
    assert found == InUse(keys={"user": 2, "system": 0}, sessions=1, users=1)
    clock.advance(timedelta(days=400))
    assert await counted() == InUse(keys={"user": 1, "system": 0}, sessions=0, users=1)
