import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from bennu.kernel.errors import UnavailableError
from bennu.storage.sqlite_connection import driver_of, writer_engine
from bennu.storage.sqlite_worker import ConnectionThreads


@pytest.fixture
async def threads(tmp_path: Path) -> AsyncIterator[ConnectionThreads]:
    threads = ConnectionThreads(
        writer_engine(str(tmp_path / "bennu.db"), 1), name="test", thread_count=1
    )
    await threads.start()
    yield threads
    await threads.stop()


async def test_every_job_runs_in_the_named_thread(threads: ConnectionThreads) -> None:
    names = [await threads.run(lambda _: threading.current_thread().name) for _ in range(3)]
    assert names == ["test-0"] * 3


async def test_a_connection_is_kept_after_a_mistake_and_replaced_after_a_failure(
    threads: ConnectionThreads,
) -> None:
    def identity(connection: Connection) -> int:
        return id(driver_of(connection))

    def mistake(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM nowhere"))

    def failure(connection: Connection) -> None:
        driver_of(connection).execute("PRAGMA query_only = ON")
        connection.execute(text("CREATE TABLE t (x)"))

    first = await threads.run(lambda c: (identity(c), driver_of(c)))
    with pytest.raises(Exception, match="nowhere"):
        await threads.run(mistake)
    assert await threads.run(identity) == first[0]
    with pytest.raises(UnavailableError):
        await threads.run(failure)
    assert await threads.run(identity) != first[0]
    await threads.run(lambda c: c.execute(text("CREATE TABLE t (x)")))


async def test_what_is_queued_is_done_before_the_end_and_nothing_after(
    threads: ConnectionThreads,
) -> None:
    may_go_on = threading.Event()
    done: list[int] = []
    jobs = [asyncio.create_task(threads.run(lambda _: may_go_on.wait(10)))]
    jobs += [
        asyncio.create_task(threads.run(lambda _, n=n: done.append(n), lane=1)) for n in range(5)
    ]
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(threads.stop())
    await asyncio.sleep(0.05)
    with pytest.raises(UnavailableError):
        await threads.run(lambda _: done.append(99))
    may_go_on.set()
    await stopping
    await asyncio.gather(*jobs)
    assert done == [0, 1, 2, 3, 4]


async def test_a_database_that_cannot_be_opened_fails_the_start(tmp_path: Path) -> None:
    threads = ConnectionThreads(
        writer_engine(str(tmp_path / "missing" / "bennu.db"), 1), name="test", thread_count=2
    )
    with pytest.raises(UnavailableError):
        await threads.start()
    assert not [t for t in threading.enumerate() if t.name.startswith("test-")]


async def test_work_that_raises_something_odd_does_not_end_the_thread(
    threads: ConnectionThreads,
) -> None:
    class OddError(BaseException):
        pass

    def odd(_: Connection) -> None:
        raise OddError

    with pytest.raises(OddError):
        await threads.run(odd)
    assert await threads.run(lambda _: 1) == 1
