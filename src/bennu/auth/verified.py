"""What was verified a moment ago: who uses a credential, without asking the database again.

It holds what is in use just now, not what was signed in: a credential that was not used for some
seconds, that has ended, or that was verified before the last change of authority is forgotten.

Why safe: keys are digests, and the caller names the security epoch that holds at this moment; what
was verified in another one is never returned.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from bennu.access import Principal
from bennu.kernel.clock import Clock, to_microseconds

MOST_KEPT: Final = 10_000
#: Longer than the pause between two exports of a tracer; looking one up anew is one indexed read.
KEPT_UNUSED_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Verified:
    """A principal, the epoch it was verified in, and when its credential ends (microseconds)."""

    principal: Principal
    epoch: int
    expires_at: int | None


class VerifiedCredentials:
    """Credentials in use, by their digests, the one that was used longest ago first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoch = -1
        self._kept: OrderedDict[bytes, tuple[Verified, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: bytes) -> bool:
        """Whether it is kept, which does not say that it still holds."""
        return key in self._kept

    def find(self, key: bytes, epoch: int) -> Verified | None:
        """Return what was verified in this epoch and has not ended, and note that it is used."""
        self._forget_unused()
        if epoch != self._epoch:
            self._kept.clear()
            self._epoch = epoch
        verified, _ = self._kept.pop(key, (None, 0.0))
        if verified is None or verified.epoch != epoch or self.is_over(verified.expires_at):
            return None
        self._kept[key] = (verified, self._clock.monotonic_seconds())
        return verified

    def keep(self, key: bytes, verified: Verified) -> None:
        """Keep what was verified just now."""
        self._kept.pop(key, None)
        self._kept[key] = (verified, self._clock.monotonic_seconds())
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def is_over(self, expires_at: int | None) -> bool:
        """Whether a time in microseconds has come; None never comes."""
        return expires_at is not None and to_microseconds(self._clock.now_utc()) >= expires_at

    def _forget_unused(self) -> None:
        since = self._clock.monotonic_seconds() - KEPT_UNUSED_SECONDS
        while self._kept:
            key, (_, used_at) = next(iter(self._kept.items()))
            if used_at >= since:
                return
            del self._kept[key]
