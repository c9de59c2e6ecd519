"""How the C library hands out memory: what a burst of large bodies took is given back after it.

By default every thread gets an arena of its own and large blocks are taken from them for good, so
a server that decodes bodies of megabytes in several threads ends up with twice the memory.

Source: mallopt(3). Figures: docs/performance.md.
"""

import ctypes
import sys
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
LARGE_BLOCK_BYTES: Final = 128 * 1024
_KEPT_FREE_BYTES: Final = 256 * 1024


def give_memory_back() -> bool:
    """Use one arena for all threads and return large blocks at once; call before other threads.

    Returns:
        Whether the C library took all of it; one that is not glibc may have no such switches.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = (
        (_ARENA_MAX, 1),
        (_MMAP_THRESHOLD, LARGE_BLOCK_BYTES),
        (_TRIM_THRESHOLD, _KEPT_FREE_BYTES),
    )
    taken = [bool(mallopt(name, value)) for name, value in wanted]
    return all(taken)
