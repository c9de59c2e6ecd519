"""Sign-ins leave nothing behind in memory. A whole process is watched in tests/flows.

Every value of Python is at least one block of its allocator, so that one value that is kept for
each sign-in is a slope of 1. The clock moves on, so that what is kept for a time comes to its end.
"""

import gc
import logging
import sys
import urllib.parse
from collections.abc import Iterator
from operator import itemgetter

import httpx
import pytest

from bennu.auth.verified import KEPT_UNUSED_SECONDS
from fakes.clock import FrozenClock
from fakes.hostile_provider import HostileProvider
from fakes.provider_world import ProviderWorld
from slopes import slope_of

WARM_UP, MEASURED, STEP, STRETCH = 100, 400, 10, 5
PAUSE_SECONDS = 1.0
#: Less than one value in two sign-ins, the uncertainty included.
MOST_BLOCKS = 0.5


@pytest.fixture
def silent() -> Iterator[None]:
    """Write no log: pytest would keep every line of it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def sign_in(browser: httpx.AsyncClient, world: ProviderWorld, at: HostileProvider) -> None:
    browser.cookies.clear()
    done = await world.finish(browser, at.authorize(await world.begin(browser)))
    assert done.status_code == 302
    assert (await browser.get("/v1/user")).status_code == 200


async def be_refused(browser: httpx.AsyncClient, world: ProviderWorld) -> None:
    browser.cookies.clear()
    await world.begin(browser)
    refused = await world.finish(browser, {"state": "x", "code": "y"})
    assert refused.status_code == 307


def blocks_in_use() -> int:
    """Count what is left without bounded caches of the interpreter itself.

    It keeps names of the last 4096 attributes that were looked up; a library that puts such names
    together, as JMESPath, the HTTP client and the HTTP server of the test do, makes new ones.
    """
    urllib.parse.clear_cache()  # of the last 128 addresses, most of them the browser's
    sys._clear_type_cache()  # noqa: SLF001 - documented by that name
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.usefixtures("silent")
@pytest.mark.timeout(300)
async def test_memory_does_not_rise_with_sign_ins(
    quick_world: ProviderWorld, provider: HostileProvider, clock: FrozenClock
) -> None:
    assert WARM_UP * PAUSE_SECONDS > KEPT_UNUSED_SECONDS
    keys_fetched = 0
    points: list[tuple[float, float]] = []
    async with quick_world.browser() as browser:
        for number in range(WARM_UP + MEASURED):
            if number >= WARM_UP and (number - WARM_UP) % STEP == 0:
                points.append((number, blocks_in_use()))
            await sign_in(browser, quick_world, provider)
            if number % 4 == 0:
                await be_refused(browser, quick_world)
            clock.advance(PAUSE_SECONDS)
            keys_fetched += provider.count("/jwks")
            provider.peer.seen.clear()
            provider.forget_codes()
    # The SQLite driver clears up its list of cursors now and then only, at 200 of them.
    lowest = [
        min(points[i : i + STRETCH], key=itemgetter(1)) for i in range(0, len(points), STRETCH)
    ]
    found = slope_of(lowest)
    print("blocks per sign-in:", found, lowest)  # noqa: T201
    assert found.at_most < MOST_BLOCKS
    assert keys_fetched == 1
