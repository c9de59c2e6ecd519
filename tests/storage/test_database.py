"""What both engines promise alike; every test here runs on SQLite and on PostgreSQL."""

import asyncio
import threading
import time

import pytest
from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from bennu.kernel.errors import UnavailableError
from bennu.storage.database import Database, Lane
from bennu.storage.epoch import move_security_epoch
from bennu.storage.schema import meta
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock


def put(name: str, value: str = "v") -> object:
    def work(connection: Connection) -> str:
        connection.execute(insert(meta).values(name=name, value=value))
        return name

    return work


def names(connection: Connection) -> set[str]:
    return set(connection.execute(select(meta.c.name)).scalars()) - {"application"}


def slowly_put(name: str, begun: threading.Event) -> object:
    """Put a row, after a while that blocks neither the loop nor, on SQLite, a reader."""

    def work(connection: Connection) -> None:
        begun.set()
        connection.execute(insert(meta).values(name=name, value="v"))
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_sleep(0.4)"))
        else:
            time.sleep(0.4)

    return work


async def test_a_write_returns_and_is_seen_by_every_kind_of_read(database: Database) -> None:
    assert await database.write(put("a")) == "a"
    assert await database.read(names) == {"a"}
    assert await database.read(names, tiny=True) == {"a"}


@pytest.mark.asvs("2.3.3")
async def test_an_exception_rolls_back_and_passes_through(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(insert(meta).values(name="lost", value="v"))
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await database.write(work)
    await database.write(put("kept"))
    assert await database.read(names) == {"kept"}


async def test_tables_of_a_failed_transaction_are_gone(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE half_made (id INTEGER)"))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)
    await database.write(lambda c: c.execute(text("CREATE TABLE half_made (id INTEGER)")))


async def test_a_broken_constraint_passes_through(database: Database) -> None:
    await database.write(put("twice"))
    with pytest.raises(IntegrityError) as caught:
        await database.write(put("twice", "value-that-nobody-may-log"))
    assert "value-that-nobody-may-log" not in str(caught.value)


@pytest.mark.parametrize("lane", list(Lane))
async def test_a_mistake_in_a_statement_is_not_called_unavailable(
    database: Database, lane: Lane
) -> None:
    with pytest.raises(Exception, match="nowhere") as caught:
        await database.write(lambda c: c.execute(text("SELECT * FROM nowhere")), lane=lane)
    assert not isinstance(caught.value, UnavailableError)


async def test_a_read_changes_nothing(database: Database) -> None:
    with pytest.raises(UnavailableError):
        await database.read(lambda c: c.execute(delete(meta)).rowcount)
    assert await database.read(lambda c: c.execute(select(func.count(meta.c.name))).scalar()) == 1


async def test_prepare_runs_first_and_off_the_loop(database: Database) -> None:
    seen: list[object] = []

    def work(connection: Connection) -> None:
        seen.append(connection.dialect.name)

    await database.write(
        work, lane=Lane.INGEST, prepare=lambda: seen.append(threading.current_thread())
    )
    assert seen[1] == database.dialect
    assert seen[0] is not threading.main_thread()


async def test_a_failing_prepare_prevents_the_work(database: Database) -> None:
    def prepare() -> None:
        raise ValueError("cannot be decoded")

    with pytest.raises(ValueError, match="decoded"):
        await database.write(put("never"), prepare=prepare)
    assert await database.read(names) == set()


@pytest.mark.parametrize("lane", list(Lane))
async def test_a_caller_that_gives_up_does_not_stop_what_runs(
    database: Database, lane: Lane
) -> None:
    begun = threading.Event()
    task = asyncio.create_task(database.write(slowly_put("a", begun), lane=lane))
    assert await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.write(put("b"), lane=lane)
    await asyncio.sleep(0.4)
    assert await database.read(names) == {"a", "b"}


async def test_many_writes_at_once_all_arrive(database: Database) -> None:
    lanes = [Lane.ADMIN, Lane.INGEST] * 20
    await asyncio.gather(
        *(database.write(put(str(number)), lane=lane) for number, lane in enumerate(lanes))
    )
    assert len(await database.read(names)) == 40


async def test_stop_finishes_what_has_begun(
    database: Database, storage_settings: StorageSettings, clock: FrozenClock
) -> None:
    other = Database(storage_settings, clock)
    await other.start()
    begun = threading.Event()
    task = asyncio.create_task(other.write(slowly_put("a", begun)))
    assert await asyncio.to_thread(begun.wait, 60)
    await other.stop()
    await task
    assert await database.read(names) == {"a"}
    for call in (other.write(put("b")), other.read(names), other.read(names, tiny=True)):
        with pytest.raises(UnavailableError):
            await call


async def test_stopping_twice_does_no_harm(
    storage_settings: StorageSettings, clock: FrozenClock
) -> None:
    database = Database(storage_settings, clock)
    await database.start()
    await database.stop()
    await database.stop()


async def test_the_epoch_is_seen_at_once_here_and_elsewhere(
    database: Database, storage_settings: StorageSettings, clock: FrozenClock
) -> None:
    other = Database(storage_settings, clock)
    await other.start()
    assert await database.security_epoch() == await other.security_epoch() == 0
    for expected in range(1, 4):
        await database.write(move_security_epoch)
        assert await database.security_epoch() == await other.security_epoch() == expected
    await other.write(put("no change of authority"))
    assert await database.security_epoch() == 3
    await other.stop()


async def test_an_epoch_that_was_rolled_back_has_not_moved(database: Database) -> None:
    def work(connection: Connection) -> None:
        move_security_epoch(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)
    assert await database.security_epoch() == 0


async def test_what_need_not_last_is_committed_all_the_same(database: Database) -> None:
    durability = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}

    def how(connection: Connection) -> str:
        statement = text(durability[connection.dialect.name])
        return str(connection.execute(statement).scalar())

    before = await database.write(how)
    assert await database.write(how, is_lasting=False) in {"1", "off"}
    assert await database.write(how) == before
    with pytest.raises(ZeroDivisionError):
        await database.write(lambda _: 1 // 0, is_lasting=False)
    assert await database.write(how) == before in {"2", "on"}
    await database.write(put("passing"), is_lasting=False)
    assert await database.read(names) == {"passing"}
