"""No process of ours leaves its memory on a disk. Spec: 175-177."""

import subprocess
import sys

import pytest

PROBE = """
import ctypes, resource
from bennu.kernel.hardening import forbid_core_dumps
done = forbid_core_dumps()
print(done, resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_core_dumps_are_off_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True (0, 0) 0"
