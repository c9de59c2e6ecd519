"""The directory's own threads: bounded, never those of anybody else, and never the event loop.

However long a directory hangs, it holds these threads and nothing else; who would have to wait
too long is told at once.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault, Step
from bennu.kernel.clock import Clock

#: For a whole sign-in, waiting for a thread included.
SIGN_IN_SECONDS: Final = 10.0
_THREADS: Final = 8
_MOST_WAITING: Final = 128
#: The work looks at its deadline itself; this is for work that does not.
_GRACE_SECONDS: Final = 1.0

T = TypeVar("T")


class DirectoryThreads:
    """Runs blocking work, each piece with a deadline.

    Args:
        clock: monotonic times.
        count: how many at once.
    """

    def __init__(self, clock: Clock, count: int = _THREADS) -> None:
        self._clock = clock
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="ldap")
        self._under_way = 0

    async def run(self, work: Callable[[Deadline], T], seconds: float = SIGN_IN_SECONDS) -> T:
        """Run work in a thread; what it may take begins now, not when a thread is free.

        Raises:
            LdapFault: it took too long, or too much is waiting already.
        """
        if self._under_way >= _MOST_WAITING:
            raise LdapFault(Step.CONNECT, "too many sign-ins are waiting", ("PHOENIX_LDAP_HOST",))
        deadline = Deadline.after(self._clock, seconds)

        def in_time() -> T:
            if deadline.is_over:
                raise _too_late()
            return work(deadline)

        self._under_way += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, in_time)
            return await asyncio.wait_for(future, seconds + _GRACE_SECONDS)
        except TimeoutError:
            raise _too_late() from None
        finally:
            self._under_way -= 1

    def later(self, work: Callable[[], None]) -> None:
        """Run something soon that nobody waits for; nothing once stopped."""
        with contextlib.suppress(RuntimeError):
            self._executor.submit(work)

    def stop(self) -> None:
        """Let what runs come to its own end, and take nothing more."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _too_late() -> LdapFault:
    return LdapFault(Step.CONNECT, "the directory did not answer in time", ("PHOENIX_LDAP_HOST",))
