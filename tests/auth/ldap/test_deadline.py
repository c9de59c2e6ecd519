"""Until when something may take."""

from bennu.auth.ldap.deadline import Deadline
from fakes.clock import FrozenClock


def test_a_part_never_takes_longer_than_the_whole(clock: FrozenClock) -> None:
    whole = Deadline.after(clock, 10)
    assert whole.left_seconds() == 10
    assert whole.within(2).left_seconds() == 2
    assert whole.within(20).left_seconds() == 10
    clock.advance(9)
    assert whole.within(2).left_seconds() == 1
    assert not whole.is_over
    clock.advance(5)
    assert whole.is_over
    assert whole.left_seconds() == 0
