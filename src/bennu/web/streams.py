"""Streams of server-sent events: how many there may be, when they look again, and that they end.

A stream holds a connection, so that one session gets a few of them. At each beat its caller is
looked up anew, since a stream outlives the request that was allowed; it ends with the session.

Spec: lines 134-141. Source: HTML Living Standard, section 9.2 (server-sent events).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from bennu.kernel.errors import AppError, TooManyError

BEAT_SECONDS: Final = 5.0
#: Browsers keep six connections to a server without HTTP/2; pages need some of them.
MOST_OF_A_SESSION: Final = 3
#: Of all sessions together; each asks the database one small question at every beat.
MOST: Final = 300
_ENDED: Final = b"event: ended\ndata:\n\n"
_BEAT: Final = b": beat\n\n"

#: What there is to tell now, as text of one line; refuses when the caller may not know any more.
Look = Callable[[], Awaitable[str]]


class Streams:
    """All streams that are open.

    Args:
        beat_seconds: between two looks.
    """

    def __init__(self, beat_seconds: float = BEAT_SECONDS) -> None:
        self._beat_seconds = beat_seconds
        self._open: Counter[str] = Counter()
        self._stopping = asyncio.Event()

    def check_room(self, session: str) -> None:
        """Refuse one stream too many.

        Args:
            session: whose streams are counted; what has none is counted by its address.

        Raises:
            TooManyError: this session, or all together, have as many as there may be.
        """
        if self._open[session] >= MOST_OF_A_SESSION or self._open.total() >= MOST:
            raise TooManyError("Too many streams are open; load the page again to see what is new")

    def stop(self) -> None:
        """End all streams; browsers ask again when the server is back."""
        self._stopping.set()

    async def events(
        self, session: str, name: str, look: Look, is_last: Callable[[str], bool] | None = None
    ) -> AsyncIterator[bytes]:
        """Yield an event whenever there is something else to tell, and a beat otherwise.

        Args:
            session: as with ``check_room``.
            name: of the event.
            look: asked at each beat; a refusal ends the stream, and the browser is told so.
            is_last: whether nothing else can follow what is told; the stream ends then too.
        """
        self._open[session] += 1
        told = ""
        try:
            while not self._stopping.is_set():
                try:
                    text = await look()
                except AppError:
                    yield _ENDED
                    return
                yield _BEAT if text == told else f"event: {name}\ndata: {text}\n\n".encode()
                told = text
                if is_last is not None and is_last(text):
                    yield _ENDED
                    return
                await self._pause()
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), self._beat_seconds)
        except TimeoutError:
            return
