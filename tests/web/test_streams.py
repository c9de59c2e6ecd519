"""How many streams there may be, that each beat looks again, and that all of them end."""

import asyncio
from contextlib import aclosing

import pytest

from bennu.kernel.errors import TooManyError, UnauthenticatedError
from bennu.web.streams import MOST_OF_A_SESSION, Streams


async def test_what_changes_is_told_and_a_refusal_ends_the_stream() -> None:
    told = iter(["0", "0", "2"])

    async def look() -> str:
        try:
            return next(told)
        except StopIteration:
            raise UnauthenticatedError("Invalid token") from None

    streams = Streams(beat_seconds=0.001)
    events = [event async for event in streams.events("s", "news", look)]
    assert events == [
        b"event: news\ndata: 0\n\n",
        b": beat\n\n",
        b"event: news\ndata: 2\n\n",
        b"event: ended\ndata:\n\n",
    ]


async def test_a_stream_ends_when_nothing_can_follow() -> None:
    texts = iter(["half", "all", "never asked for"])

    async def look() -> str:
        return next(texts)

    streams = Streams(beat_seconds=0.001)
    found = [event async for event in streams.events("s", "p", look, lambda text: text == "all")]
    assert found[1:] == [b"event: p\ndata: all\n\n", b"event: ended\ndata:\n\n"]
    assert len(found) == 3
    streams.check_room("s")


async def nothing() -> str:
    return "0"


async def test_a_session_has_a_few_streams_and_gets_their_places_back() -> None:
    streams = Streams(beat_seconds=60)
    running = [streams.events("s", "news", nothing) for _ in range(MOST_OF_A_SESSION)]
    for stream in running:
        streams.check_room("s")
        await anext(stream)
    with pytest.raises(TooManyError):
        streams.check_room("s")
    streams.check_room("another")
    async with aclosing(running[0]):  # type: ignore[type-var]
        pass
    streams.check_room("s")


async def test_stopping_ends_all_at_once() -> None:
    streams = Streams(beat_seconds=600)
    stream = streams.events("s", "news", nothing)
    await anext(stream)
    waiting = asyncio.create_task(anext(stream, None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    streams.stop()
    assert await asyncio.wait_for(waiting, 60) is None
    streams.check_room("s")
