"""Repeated work goes on whatever happens in one run, and every failure is told."""

import asyncio
import logging

import pytest

from bennu.kernel.errors import UnavailableError
from bennu.kernel.tasks import BackgroundTasks, Repeated

pytestmark = pytest.mark.anyio


class Pauses:
    """Counts pauses and lets so many pass at once; the next one never ends."""

    def __init__(self, most: int) -> None:
        self.most, self.seen = most, list[float]()
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seen.append(seconds)
        if len(self.seen) > self.most:
            self.over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def run(work: Repeated, pauses: Pauses) -> BackgroundTasks:
    tasks = BackgroundTasks([work], pauses)
    tasks.start()
    await asyncio.wait_for(pauses.over.wait(), 10)
    return tasks


async def test_work_is_repeated_with_its_pauses() -> None:
    runs: list[int] = []

    async def work() -> None:
        runs.append(len(runs))

    pauses = Pauses(3)
    tasks = await run(Repeated("t", work, every_seconds=60, first_after_seconds=7), pauses)
    await tasks.stop()
    assert runs == [0, 1, 2]
    assert pauses.seen == [7, 60, 60, 60]
    assert not tasks.failures


@pytest.mark.asvs("16.3.4")
async def test_a_failure_is_logged_counted_and_not_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors: list[Exception] = [UnavailableError("away", detail="the disk is full"), KeyError("x")]
    done: list[bool] = []

    async def work() -> None:
        if errors:
            raise errors.pop(0)
        done.append(True)

    with caplog.at_level(logging.INFO, "bennu.tasks"):
        tasks = await run(Repeated("t", work, 1, 1), Pauses(3))
        await tasks.stop()
    assert done == [True]
    assert tasks.failures == {"t": 2}
    refusal, defect = caplog.records
    assert (refusal.levelname, refusal.exc_info) == ("WARNING", None)
    assert vars(refusal)["reason"] == "the disk is full"
    assert (defect.levelname, vars(defect)["task"]) == ("ERROR", "t")
    assert defect.exc_info is not None


async def test_stop_ends_work_under_way_and_can_be_called_again() -> None:
    begun, ended = asyncio.Event(), list[bool]()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    tasks = BackgroundTasks([Repeated("t", work, 1, 0)])
    tasks.start()
    await asyncio.wait_for(begun.wait(), 10)
    await tasks.stop()
    assert ended == [True]
    await tasks.stop()
