"""What the process forbids itself: a memory dump would hold every key.

Spec: lines 175-177 (what encryption at rest cannot protect).
Source: getrlimit(2), prctl(2).
"""

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> bool:
    """Switch core dumps off and keep other processes of the same user from reading the memory.

    Returns:
        Whether both were switched off; outside Linux only the first can be.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
