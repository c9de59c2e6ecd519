"""A moving window, exact to the end, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from bennu.network.rate_counters import MemoryCounters
from bennu.network.rate_rules import RateLimit

FIVE = RateLimit("five", 5, 60)


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_five_pass_and_the_sixth_is_told_how_long_to_wait() -> None:
    clock = Hand()
    counters = MemoryCounters(clock)
    for _ in range(5):
        assert counters.take_at_once(FIVE, "a") == 0
        clock.now += 1
    assert counters.take_at_once(FIVE, "a") == 55
    assert counters.take_at_once(FIVE, "b") == 0


def test_waiting_as_long_as_told_helps_and_less_does_not() -> None:
    clock = Hand()
    counters = MemoryCounters(clock)
    for _ in range(5):
        counters.take_at_once(FIVE, "a")
    clock.now += 59.75
    assert counters.take_at_once(FIVE, "a") == 0.25
    clock.now += 0.25
    assert counters.take_at_once(FIVE, "a") == 0


@given(st.lists(st.floats(0, 30), max_size=60))
def test_no_window_ever_holds_more_than_the_limit(pauses: list[float]) -> None:
    clock = Hand()
    counters, passed = MemoryCounters(clock), list[float]()
    for pause in pauses:
        clock.now += pause
        wait = counters.take_at_once(FIVE, "a")
        if wait == 0:
            passed.append(clock.now)
        else:
            assert 0 < wait <= 60
        in_window = [t for t in passed if clock.now - t < 60]
        assert len(in_window) <= 5
        assert (wait == 0) or len(in_window) == 5


def test_what_is_over_is_forgotten() -> None:
    clock = Hand()
    counters = MemoryCounters(clock)
    for number in range(1_000):
        counters.take_at_once(FIVE, str(number))
    assert counters.kept_times == 1_000
    clock.now += 61
    for _ in range(1_001):
        counters.take_at_once(FIVE, "one")
    assert counters.kept_times == 5


def test_memory_is_bounded_and_the_longest_unasked_go_first() -> None:
    counters = MemoryCounters(Hand(), most_times=100)
    for _ in range(5):
        counters.take_at_once(FIVE, "kept")
    for number in range(10_000):
        counters.take_at_once(FIVE, str(number))
        assert counters.take_at_once(FIVE, "kept") > 0
    assert counters.kept_times <= 100


def test_limits_do_not_share_counts() -> None:
    counters = MemoryCounters(Hand())
    for _ in range(5):
        counters.take_at_once(FIVE, "a")
    assert counters.take_at_once(RateLimit("other", 5, 60), "a") == 0


async def test_as_the_interface_says() -> None:
    counters = MemoryCounters(Hand())
    assert await counters.take(FIVE, "a") == 0
    await counters.close()
