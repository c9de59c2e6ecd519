"""Counting together over a real Redis, and alone while it is away."""

import contextlib
import logging
from collections.abc import AsyncIterator

import pytest

from bennu.kernel.secret import Secret
from bennu.network.rate_redis import REST_SECONDS, SharedCounters, SharedCountersError
from bennu.network.rate_rules import RateLimit
from fakes.clock import FrozenClock
from peers.redis import RedisServer
from started import free_port

FIVE = RateLimit("sign_in", 5, 60)


@contextlib.asynccontextmanager
async def counting(url: str, clock: FrozenClock) -> AsyncIterator[SharedCounters]:
    """Count over a Redis and let its connections go, also when a test fails."""
    counters = SharedCounters(Secret(url), clock)
    try:
        yield counters
    finally:
        await counters.close()


@pytest.fixture(params=["plain", "tls"])
def redis_url(request: pytest.FixtureRequest, redis_server: RedisServer) -> str:
    return redis_server.url if request.param == "plain" else redis_server.tls_url


async def test_two_processes_let_five_pass_together(redis_url: str) -> None:
    clock, address = FrozenClock(), "ip 192.0.2.1"
    async with counting(redis_url, clock) as one, counting(redis_url, clock) as other:
        waits = []
        for number in range(10):
            waits.append(await (one if number % 2 else other).take(FIVE, address))
            clock.advance(1)
        assert waits == [0] * 5 + [55, 54, 53, 52, 51]
        assert await one.take(FIVE, address) == 50
        assert await other.take(FIVE, "ip 192.0.2.2") == 0
        clock.advance(49.5)
        assert await other.take(FIVE, address) == 0.5
        clock.advance(0.5)
        assert await other.take(FIVE, address) == 0
        assert await one.take(FIVE, address) == 1


@pytest.mark.asvs("16.5.2")
async def test_without_redis_it_counts_alone_and_says_so_once(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FrozenClock()
    async with counting(redis_server.url, clock) as counters:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert await counters.take(FIVE, "a") == 0
            redis_server.stop()
            for _ in range(2):
                assert await counters.take(FIVE, "a") == 0
                clock.advance(REST_SECONDS)
            assert counters.is_away
            # What this process counted before is not forgotten.
            assert await counters.take(FIVE, "a") == 60 - 2 * REST_SECONDS
            redis_server.start()
            assert await counters.take(FIVE, "b") == 0
            assert not counters.is_away
    messages = [record.message for record in caplog.records]
    assert messages == ["rate_limit.storage.away", "rate_limit.storage.back"]


async def test_redis_is_not_asked_again_at_once() -> None:
    clock = FrozenClock()
    async with counting(f"redis://127.0.0.1:{free_port()}/0", clock) as counters:
        assert await counters.take(FIVE, "a") == 0
        assert counters.is_away
        assert await counters.take(FIVE, "a") == 0


async def test_a_wrong_password_is_redis_away(redis_server: RedisServer) -> None:
    url = redis_server.url.replace("redis-password-4", "guess")
    async with counting(url, FrozenClock()) as counters:
        assert await counters.take(FIVE, "a") == 0
        assert counters.is_away


@pytest.mark.asvs("12.3.4")
@pytest.mark.parametrize("missing", ["with_authority", "with_client"])
async def test_both_ends_prove_themselves_over_tls(redis_server: RedisServer, missing: str) -> None:
    url = redis_server.tls_address(**{missing: False})
    async with counting(url, FrozenClock()) as counters:
        await counters.take(FIVE, "a")
        assert counters.is_away


@pytest.mark.parametrize("url", ["redis://127.0.0.1/0?socket_timeout=soon", "redis://h:port/0"])
def test_an_address_that_cannot_be_one_is_named_without_its_password(url: str) -> None:
    url = url.replace("://", "://:hidden-5@")
    with pytest.raises(SharedCountersError) as caught:
        SharedCounters(Secret(url), FrozenClock())
    assert "PHOENIX_RATE_LIMIT_STORAGE_URL" in caught.value.public
    assert "hidden-5" not in str(caught.value)
