"""Counting in Redis, for several processes together; without Redis in memory, with a warning.

One script per request, run by Redis as one step, so that processes cannot count past each other.
The times are those of the processes; they need clocks that agree to within a second.

Spec: lines 212-216. Source: Redis documentation, EVAL and "atomicity of scripts".
"""

import asyncio
import logging
from datetime import datetime
from typing import Any, Final, Protocol

from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import AppError, UnavailableError
from bennu.kernel.secret import Secret
from bennu.network.rate_counters import MemoryCounters
from bennu.network.rate_rules import RateLimit

logger: Final = logging.getLogger("bennu.network.rate")

_PREFIX: Final = "bennu:rate"
_ANSWER_SECONDS: Final = 0.5
REST_SECONDS: Final = 5.0
_MICROSECONDS: Final = 1_000_000
#: The newest time stands first; the list never holds more than the limit.
_TAKE: Final = """
local now, count, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest = redis.call('LINDEX', KEYS[1], count - 1)
if oldest and tonumber(oldest) + window > now then
  return tonumber(oldest) + window - now
end
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, count - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return 0
"""


class SharedCountersError(AppError):
    """The settings name Redis, and the client for it is not installed or refuses the address."""

    code = "rate_limit_storage"


class Take(Protocol):
    """The script, registered with a client."""

    async def __call__(self, *, keys: list[str], args: list[int]) -> int:
        """Return 0 or the microseconds to wait."""


class SharedCounters:
    """Counts of several processes in one Redis.

    What passes is counted in memory too, so that a Redis that goes away takes only the counts of
    the other processes with it, and one who floods does not reach Redis.

    Args:
        url: of Redis; ``rediss`` for TLS, further parameters as redis-py reads them.
        clock: for times and for resting after a failure.
    """

    def __init__(self, url: Secret, clock: Clock) -> None:
        self._clock = clock
        self._memory = MemoryCounters(clock.monotonic_seconds)
        self._client, self._take, self._failures = _client_of(url)
        self._rests_until = float("-inf")
        self.is_away = False

    async def take(self, limit: RateLimit, who: str) -> float:
        """Count a request; see ``Counters``."""
        wait = self._memory.wait_of(limit, who)
        if wait > 0:
            return wait
        found = await self._shared_wait(limit, who)
        if found:
            return found / _MICROSECONDS
        # It passed, or Redis is away and this process decides alone.
        return self._memory.take_at_once(limit, who)

    async def _shared_wait(self, limit: RateLimit, who: str) -> int:
        """Ask Redis; 0 also when it is away."""
        now = self._clock.monotonic_seconds()
        if now < self._rests_until:
            return 0
        key = f"{_PREFIX}:{limit.name}:{who}"
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                wait = await self._take(keys=[key], args=_arguments(limit, self._clock.now_utc()))
        except self._failures as error:
            self._note_away(error, now)
            return 0
        if self.is_away:
            self.is_away = False
            logger.warning("rate_limit.storage.back")
        return wait

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            UnavailableError: none came in time.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._client.ping()
        except self._failures as error:
            raise UnavailableError("Redis does not answer", detail=type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _note_away(self, error: BaseException, now: float) -> None:
        self._rests_until = now + REST_SECONDS
        if not self.is_away:
            self.is_away = True
            fields = {"why": type(error).__name__, "instead": "counting in this process only"}
            logger.warning("rate_limit.storage.away", extra=fields)


def _arguments(limit: RateLimit, now: datetime) -> list[int]:
    return [to_microseconds(now), limit.count, limit.window_seconds * _MICROSECONDS]


def _client_of(url: Secret) -> tuple[Any, Take, tuple[type[Exception], ...]]:
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra, needed only here
        from redis.exceptions import RedisError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SharedCountersError(
            "PHOENIX_RATE_LIMIT_STORAGE_URL needs the Redis client: pip install 'bennu[redis]'"
        ) from None
    try:
        client = Redis.from_url(
            url.reveal(), socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS
        )
    except (ValueError, TypeError, RedisError) as error:
        why = type(error).__name__  # its text may hold the address with the password
        raise SharedCountersError(
            f"PHOENIX_RATE_LIMIT_STORAGE_URL: not an address of Redis ({why})"
        ) from None
    return client, client.register_script(_TAKE), (RedisError, OSError, TimeoutError)
