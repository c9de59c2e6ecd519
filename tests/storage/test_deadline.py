"""Reads that clients shape end in time on SQLite."""

import pytest
from sqlalchemy import Connection, text

from bennu.storage.database import Database
from bennu.storage.deadline import LIMIT_SECONDS, ReadTooLongError, ending_in_time
from bennu.storage.sqlite_connection import driver_of
from fakes.clock import FrozenClock

COUNTING = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
    "SELECT count(*) FROM n"
)


class RunningClock(FrozenClock):
    """Goes on by a second whenever somebody looks."""

    def monotonic_seconds(self) -> float:
        self.advance(1)
        return super().monotonic_seconds()


async def test_a_long_read_ends_and_leaves_the_connection_well(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL has a limit of its own")

    def counted(connection: Connection, clock: FrozenClock) -> tuple[int, int]:
        with ending_in_time(connection, clock):
            found = int(connection.execute(COUNTING).scalar_one())
        return found, id(driver_of(connection))

    for _ in range(4):
        with pytest.raises(ReadTooLongError, match="longer than 30 seconds") as caught:
            await database.read(lambda c: counted(c, RunningClock()))
        assert caught.value.retry_after_seconds == LIMIT_SECONDS
    for _ in range(4):
        assert (await database.read(lambda c: counted(c, FrozenClock())))[0] == 200_000
        # Without the limit around it nothing stops it either.
        assert await database.read(lambda c: c.execute(COUNTING).scalar_one()) == 200_000


async def test_other_errors_stay_what_they_are(database: Database) -> None:
    def wrong(connection: Connection) -> None:
        with ending_in_time(connection, FrozenClock()):
            connection.execute(text("SELECT * FROM nowhere"))

    with pytest.raises(Exception, match="nowhere"):
        await database.read(wrong)
    assert await database.read(lambda c: c.execute(text("SELECT 1")).scalar_one()) == 1
