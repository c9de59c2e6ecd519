"""A fixed moment before which no refused sign-in is answered, so that time tells nothing.

Unknown account, wrong password and deactivated account take different ways through database,
hash and directory. Every refusal is held until the boundary after its request began; work that
took longer is held until the next multiple, so that a slow machine tells no more than a fast one.

Source: OWASP ASVS 5.0 V6.3.8; CWE-208.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import ceil
from typing import Final

from bennu.kernel.clock import Clock
from bennu.kernel.errors import AppError

#: Of sign-ins with a password kept here: ten times what the hash costs.
LOCAL_BOUNDARY_SECONDS: Final = 0.25
#: Of sign-ins that ask a directory over the network.
LDAP_BOUNDARY_SECONDS: Final = 1.0

Sleep = Callable[[float], Awaitable[None]]


class AnswerBoundary:
    """Holds refusals of one way of signing in.

    Args:
        seconds: how long after the request began the first refusal may be answered.
        clock: passed in.
        sleep: takes seconds; tests pass one that moves their clock.
    """

    def __init__(self, seconds: float, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        self._seconds, self._clock, self._sleep = seconds, clock, sleep

    @asynccontextmanager
    async def holding_refusals(self) -> AsyncIterator[None]:
        """Let a success leave the block at once, and hold each refusal until the boundary.

        Why safe: a success may be quick, as whoever has one knows the password.
        """
        began = self._clock.monotonic_seconds()
        try:
            yield
        except AppError:
            await self._wait(began)
            raise

    async def _wait(self, began: float) -> None:
        elapsed = self._clock.monotonic_seconds() - began
        answer_at = began + max(1, ceil(elapsed / self._seconds)) * self._seconds
        # A timer may fire a little early, so the clock is asked again.
        while (left := answer_at - self._clock.monotonic_seconds()) > 0:
            await self._sleep(left)
