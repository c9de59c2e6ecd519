"""What was verified a moment ago."""

import pytest

from bennu.access import Principal, PrincipalKind
from bennu.auth import verified
from bennu.auth.verified import KEPT_UNUSED_SECONDS, Verified, VerifiedCredentials
from bennu.kernel.clock import to_microseconds
from fakes.clock import FrozenClock

CALLER = Principal(PrincipalKind.USER)
FIRST, SECOND, THIRD = b"first", b"second", b"third"
EPOCH = 7


@pytest.fixture
def known(clock: FrozenClock) -> VerifiedCredentials:
    return VerifiedCredentials(clock)


def keep(known: VerifiedCredentials, key: bytes, expires_at: int | None = None) -> Verified:
    made = Verified(CALLER, EPOCH, expires_at)
    known.keep(key, made)
    return made


def test_what_was_kept_is_found_in_its_epoch_alone(known: VerifiedCredentials) -> None:
    kept = keep(known, FIRST)
    assert known.find(FIRST, EPOCH + 1) is None
    assert len(known) == 0
    known.keep(FIRST, kept)  # by a caller that read the epoch before it moved
    assert known.find(FIRST, EPOCH + 1) is None


def test_a_change_of_authority_makes_all_of_it_be_forgotten(known: VerifiedCredentials) -> None:
    assert known.find(THIRD, EPOCH) is None
    kept = keep(known, FIRST)
    keep(known, SECOND)
    assert known.find(FIRST, EPOCH) is kept
    assert known.find(THIRD, EPOCH + 1) is None
    assert len(known) == 0


def test_what_is_not_used_for_long_is_forgotten(
    known: VerifiedCredentials, clock: FrozenClock
) -> None:
    known.find(FIRST, EPOCH)
    keep(known, FIRST)
    keep(known, SECOND)
    clock.advance(KEPT_UNUSED_SECONDS)
    assert known.find(FIRST, EPOCH) is not None
    clock.advance(1)
    assert known.find(THIRD, EPOCH) is None
    assert FIRST in known
    assert SECOND not in known


def test_what_has_ended_is_forgotten(known: VerifiedCredentials, clock: FrozenClock) -> None:
    known.find(FIRST, EPOCH)
    keep(known, FIRST, to_microseconds(clock.now_utc()) + 1_000_000)
    assert known.find(FIRST, EPOCH) is not None
    clock.advance(1)
    assert known.find(FIRST, EPOCH) is None
    assert FIRST not in known


@pytest.mark.asvs("14.2.2")
def test_it_is_bounded_and_drops_what_was_used_longest_ago(
    known: VerifiedCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "MOST_KEPT", 2)
    known.find(FIRST, EPOCH)
    keep(known, FIRST)
    keep(known, SECOND)
    assert known.find(FIRST, EPOCH) is not None
    keep(known, THIRD)
    assert [key in known for key in (FIRST, SECOND, THIRD)] == [True, False, True]
