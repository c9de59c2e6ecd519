"""Sign-ins leave nothing behind in memory. The long version is in tests/flows."""

import gc
import logging
import tracemalloc
import urllib.parse
from collections.abc import Iterator

import pytest

from fakes.hostile_provider import HostileProvider
from fakes.provider_world import ProviderWorld

WARM_UP, MEASURED = 30, 60
#: A handshake, a session or an answer that is kept would be more than either; a few hundred bytes
#: come and go in caches of the interpreter and of the browser's side.
MOST_OBJECTS, MOST_BYTES = 3, 700


@pytest.fixture
def traced() -> Iterator[None]:
    """Trace allocations; pytest would keep every line of the log."""
    logging.disable(logging.CRITICAL)
    tracemalloc.start()
    yield
    tracemalloc.stop()
    logging.disable(logging.NOTSET)


async def sign_in_often(world: ProviderWorld, provider: HostileProvider, count: int) -> None:
    for number in range(count):
        async with world.browser() as browser:
            address = await world.begin(browser)
            if number % 3 == 2:  # some are refused
                refused = await world.finish(browser, {"state": "x", "code": "y"})
                assert refused.status_code == 307
                continue
            done = await world.finish(browser, provider.authorize(address))
            assert done.status_code == 302
    provider.peer.seen.clear()
    provider.forget_codes()


@pytest.mark.usefixtures("traced")
async def test_memory_does_not_rise_with_sign_ins(
    quick_world: ProviderWorld, provider: HostileProvider
) -> None:
    def measure() -> tuple[int, int]:
        urllib.parse.clear_cache()  # of the last 128 addresses, most of them the browser's
        gc.collect()
        return len(gc.get_objects()), tracemalloc.get_traced_memory()[0]

    await sign_in_often(quick_world, provider, WARM_UP)
    objects, size = measure()
    await sign_in_often(quick_world, provider, MEASURED)
    more_objects, more_size = measure()
    assert (more_objects - objects) / MEASURED < MOST_OBJECTS
    assert (more_size - size) / MEASURED < MOST_BYTES
