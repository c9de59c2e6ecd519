"""Work that the server does again and again, beside requests.

A failure is logged and counted and never ends the repetition; nothing is swallowed.

Spec: lines 256-264 (folded records, retention).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bennu.kernel.errors import AppError

logger: Final = logging.getLogger("bennu.tasks")

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Repeated:
    """One piece of work and when it runs.

    Args:
        name: for logs and counters, such as ``audit.pruning``.
        work: called without arguments; awaited to its end before the next pause begins.
        every_seconds: the pause between the end of one run and the next.
        first_after_seconds: the pause before the first run.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    every_seconds: float
    first_after_seconds: float


class BackgroundTasks:
    """Runs repeated work on the event loop until it is stopped.

    Args:
        repeated: what to run; names are unique.
        sleep: how to pause; tests pass one that returns at once.
    """

    def __init__(self, repeated: Sequence[Repeated], sleep: Sleep = asyncio.sleep) -> None:
        self._repeated, self._sleep = tuple(repeated), sleep
        self._running: list[asyncio.Task[None]] = []
        #: How often each piece of work failed since the start, by name.
        self.failures: Counter[str] = Counter()

    def start(self) -> None:
        """Begin with the first pause of each."""
        self._running = [asyncio.create_task(self._repeat(one)) for one in self._repeated]

    async def stop(self) -> None:
        """End all of it; work under way is cancelled at its next await."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task

    async def _repeat(self, one: Repeated) -> None:
        await self._sleep(one.first_after_seconds)
        while True:
            try:
                await one.work()
            except AppError as error:
                self._failed(one.name)
                reason = error.detail or error.public
                logger.warning("task.failed", extra={"task": one.name, "reason": reason})
            except Exception:
                # A defect in one run must not end the repetition for ever: the next may succeed.
                self._failed(one.name)
                logger.exception("task.failed", extra={"task": one.name})
            await self._sleep(one.every_seconds)

    def _failed(self, name: str) -> None:
        self.failures[name] += 1
