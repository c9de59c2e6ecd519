"""Bursts are folded, bounded and never lost. Spec: line 258."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bennu.access import Caller, Principal, PrincipalKind
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.folding import FOLD_SECONDS, Burst, Folding

ANYBODY = Caller(Principal(PrincipalKind.ANONYMOUS), "192.0.2.7")
FAILED = AuditEvent(EventName.SIGN_IN_FAILED, Outcome.FAILED, "wrong_password", Target("user"))


def from_address(number: int) -> Caller:
    return replace(ANYBODY, address=f"192.0.2.{number}")


def test_the_first_is_recorded_and_the_rest_of_the_minute_counted() -> None:
    folding = Folding()
    assert folding.take(FAILED, ANYBODY, 0) == ()
    assert [folding.take(FAILED, ANYBODY, second) for second in (0, 1, 59.9)] == [None] * 3
    assert folding.take_ended(59.9) == []
    (burst,) = folding.take_ended(60)
    assert (burst.event, burst.caller, burst.count) == (FAILED, ANYBODY, 3)
    assert folding.take_ended(60) == []
    assert folding.take(FAILED, ANYBODY, 60) == ()


def test_one_after_the_minute_is_recorded_with_the_burst_that_it_ends() -> None:
    folding = Folding()
    folding.take(FAILED, ANYBODY, 0)
    folding.take(FAILED, ANYBODY, 1)
    ended = folding.take(FAILED, ANYBODY, FOLD_SECONDS)
    assert ended is not None
    assert [burst.count for burst in ended] == [1]
    assert folding.take(FAILED, ANYBODY, FOLD_SECONDS + 1) is None


def test_what_differs_is_not_folded() -> None:
    folding = Folding()
    others = [
        (FAILED, ANYBODY),
        (replace(FAILED, reason="unknown_user"), ANYBODY),
        (replace(FAILED, target=Target("user", "VXNlcjox")), ANYBODY),
        (replace(FAILED, target=None), ANYBODY),
        (replace(FAILED, name=EventName.SIGN_IN_THROTTLED), ANYBODY),
        (FAILED, from_address(8)),
        (FAILED, Caller(Principal(PrincipalKind.USER, "VXNlcjox"), "192.0.2.7")),
    ]
    assert [folding.take(event, caller, 0) for event, caller in others] == [()] * len(others)


def test_a_single_event_leaves_no_further_record() -> None:
    folding = Folding()
    folding.take(FAILED, ANYBODY, 0)
    assert folding.take_ended(FOLD_SECONDS) == []


def test_beyond_the_bound_the_oldest_is_written_early() -> None:
    folding = Folding(most_bursts=2)
    folding.take(FAILED, from_address(1), 0)
    folding.take(FAILED, from_address(1), 1)
    folding.take(FAILED, from_address(2), 2)
    ended = folding.take(FAILED, from_address(3), 3)
    assert ended == (Burst(FAILED, from_address(1), 0, 1),)
    assert folding.take(FAILED, from_address(2), 3) is None


def test_at_the_end_everything_is_written() -> None:
    folding = Folding()
    for _ in range(3):
        folding.take(FAILED, ANYBODY, 0)
    assert [burst.count for burst in folding.take_ended(1, all_bursts=True)] == [2]


def test_what_could_not_be_written_is_counted_on() -> None:
    folding = Folding()
    folding.take(FAILED, ANYBODY, 0)
    folding.take(FAILED, ANYBODY, 1)
    (burst,) = folding.take_ended(60)
    folding.take(FAILED, ANYBODY, 61)
    folding.give_back(burst)
    folding.give_back(Burst(FAILED, from_address(9), 0, 4))
    ended = folding.take_ended(200)
    assert sorted((burst.caller.address, burst.count) for burst in ended) == [
        ("192.0.2.7", 1),
        ("192.0.2.9", 4),
    ]


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 30)), max_size=60), st.integers(1, 3))
def test_no_event_is_lost_or_counted_twice(
    arrivals: list[tuple[int, float]], most_bursts: int
) -> None:
    folding, now, recorded = Folding(most_bursts), 0.0, 0
    for number, pause in arrivals:
        now += pause
        ended = folding.take(FAILED, from_address(number), now)
        if ended is not None:
            recorded += 1 + sum(burst.count for burst in ended)
    recorded += sum(burst.count for burst in folding.take_ended(now, all_bursts=True))
    assert recorded == len(arrivals)


def test_addresses_of_one_site_of_ipv6_are_one() -> None:
    folding = Folding()
    assert folding.take(FAILED, replace(ANYBODY, address="2001:db8:1:2::1"), 0) == ()
    for number in range(2, 500):
        other = replace(ANYBODY, address=f"2001:db8:1:2::{number:x}")
        assert folding.take(FAILED, other, 1) is None
    assert folding.take(FAILED, replace(ANYBODY, address="2001:db8:1:3::1"), 1) == ()


def test_what_waits_is_counted_with_its_age() -> None:
    folding = Folding()
    assert (folding.waiting_events, folding.lag_seconds(5)) == (0, 0)
    folding.take(FAILED, ANYBODY, 1)
    assert (folding.waiting_events, folding.lag_seconds(5)) == (0, 0)
    folding.take(FAILED, ANYBODY, 2)
    folding.take(FAILED, from_address(9), 3)
    folding.take(FAILED, from_address(9), 4)
    assert (folding.waiting_events, folding.lag_seconds(5)) == (2, 4)
