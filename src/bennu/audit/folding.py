"""Keeps bursts of the same event from flooding the trail: the first counts, the rest are counted.

Of the same event, caller, target and reason the first is recorded at once, what follows within
a minute as one further record with a count. In memory only: no clock of its own, no database.

Spec: line 258 (failed attempts, also when there are many). Source: OWASP ASVS 5.0 V16.4.
"""

from dataclasses import dataclass
from typing import Final

from bennu.access import Caller
from bennu.audit.events import AuditEvent, Target
from bennu.network.client_address import limit_key

FOLD_SECONDS: Final = 60
#: Beyond so many different bursts at a time the oldest is written early: memory is bounded.
MOST_BURSTS: Final = 10_000
_Key = tuple[str, ...]


@dataclass(slots=True)
class Burst:
    """A foldable event that repeats.

    Args:
        event: what happened.
        caller: who did it.
        since_seconds: when the first was recorded, on the monotonic clock.
        count: how often it happened beyond the first.
    """

    event: AuditEvent
    caller: Caller
    since_seconds: float
    count: int = 0


class Folding:
    """The bursts under way, the oldest first."""

    def __init__(self, most_bursts: int = MOST_BURSTS) -> None:
        self._most = most_bursts
        self._bursts: dict[_Key, Burst] = {}

    def take(
        self, event: AuditEvent, caller: Caller, now_seconds: float
    ) -> tuple[Burst, ...] | None:
        """Count an event that repeats, or say what is to be recorded now.

        Returns:
            None when the event was counted and is not to be recorded. Otherwise it is, and so
            are the 0 to 2 bursts that its arrival ended.
        """
        key = _key_of(event, caller)
        burst = self._bursts.get(key)
        if burst is not None and now_seconds - burst.since_seconds < FOLD_SECONDS:
            burst.count += 1
            return None
        ended = [self._bursts.pop(key)] if burst is not None else []
        if len(self._bursts) >= self._most:
            ended.append(self._bursts.pop(next(iter(self._bursts))))
        self._bursts[key] = Burst(event, caller, now_seconds)
        return tuple(burst for burst in ended if burst.count)

    @property
    def waiting_events(self) -> int:
        """How many events were counted and not recorded yet."""
        return sum(burst.count for burst in self._bursts.values())

    def lag_seconds(self, now_seconds: float) -> float:
        """Return since when the oldest event that is not recorded yet waits; 0 when none does."""
        waiting = [burst.since_seconds for burst in self._bursts.values() if burst.count]
        return now_seconds - min(waiting) if waiting else 0.0

    def take_ended(self, now_seconds: float, *, all_bursts: bool = False) -> list[Burst]:
        """Return the bursts whose minute is over, or all, and forget them."""
        ended = [
            key
            for key, burst in self._bursts.items()
            if all_bursts or now_seconds - burst.since_seconds >= FOLD_SECONDS
        ]
        taken = [self._bursts.pop(key) for key in ended]
        return [burst for burst in taken if burst.count]

    def give_back(self, burst: Burst) -> None:
        """Count a burst again that could not be recorded, so that nothing is lost."""
        key = _key_of(burst.event, burst.caller)
        self._bursts.setdefault(
            key, Burst(burst.event, burst.caller, burst.since_seconds)
        ).count += burst.count


def _key_of(event: AuditEvent, caller: Caller) -> _Key:
    target = event.target or Target("")
    principal = caller.principal
    # A site of IPv6 owns more addresses than could be told apart.
    whence = limit_key(caller.address)
    who = (str(principal.kind), principal.public_id, principal.credential_id, whence)
    return (str(event.name), str(event.outcome), event.reason, target.kind, target.id, *who)
