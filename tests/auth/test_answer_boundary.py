"""The boundary before which no refusal is answered."""

import asyncio
import time

import pytest

from bennu.auth.answer_boundary import AnswerBoundary
from bennu.kernel.clock import SystemClock
from bennu.kernel.errors import TooManyError, UnauthenticatedError
from fakes.clock import FrozenClock


class TimerOf:
    """A timer over a frozen clock; ``too_early`` seconds of each sleep are missing at first."""

    def __init__(self, clock: FrozenClock, too_early: float = 0.0) -> None:
        self._clock, self._too_early = clock, too_early

    async def sleep(self, seconds: float) -> None:
        self._clock.advance(max(seconds - self._too_early, 0.001))
        self._too_early = 0.0


async def refused_after(clock: FrozenClock, work_seconds: float, too_early: float = 0.0) -> float:
    """Return how long a refusal takes whose work takes so long, with a boundary of a quarter."""
    boundary = AnswerBoundary(0.25, clock, TimerOf(clock, too_early).sleep)
    began = clock.monotonic_seconds()

    async def refused() -> None:
        async with boundary.holding_refusals():
            clock.advance(work_seconds)
            raise UnauthenticatedError("no")

    with pytest.raises(UnauthenticatedError):
        await refused()
    return clock.monotonic_seconds() - began


@pytest.mark.parametrize(
    ("work_seconds", "answered_after"),
    [(0.0, 0.25), (0.001, 0.25), (0.2, 0.25), (0.26, 0.5), (0.6, 0.75)],
)
async def test_a_refusal_waits_for_the_next_multiple(
    clock: FrozenClock, work_seconds: float, answered_after: float
) -> None:
    assert await refused_after(clock, work_seconds) == pytest.approx(answered_after)


async def test_a_timer_that_fires_early_makes_no_answer_early(clock: FrozenClock) -> None:
    assert await refused_after(clock, 0.02, too_early=0.1) >= 0.25


async def test_every_refusal_is_held_and_no_success(clock: FrozenClock) -> None:
    boundary = AnswerBoundary(1.0, clock, TimerOf(clock).sleep)
    began = clock.monotonic_seconds()
    async with boundary.holding_refusals():
        pass
    assert clock.monotonic_seconds() == began
    with pytest.raises(TooManyError):
        async with boundary.holding_refusals():
            raise TooManyError("wait")
    assert clock.monotonic_seconds() - began == pytest.approx(1.0)


async def test_a_real_timer_keeps_it_too_and_others_go_on_meanwhile() -> None:
    boundary = AnswerBoundary(0.05, SystemClock())

    async def refused() -> float:
        began = time.monotonic()
        with pytest.raises(UnauthenticatedError):
            async with boundary.holding_refusals():
                raise UnauthenticatedError("no")
        return time.monotonic() - began

    began = time.monotonic()
    took = await asyncio.gather(*(refused() for _ in range(200)))
    assert min(took) >= 0.05
    assert time.monotonic() - began < 200 * 0.05
