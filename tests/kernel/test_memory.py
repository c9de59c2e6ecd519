"""What a burst took is given back. Figures: docs/performance.md."""

import subprocess
import sys

import pytest

PROBE = """
import sys, threading
from bennu.kernel.memory import give_memory_back
if sys.argv[1] == "yes":
    assert give_memory_back()
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096
def burst():
    kept = []
    for size in range(100_000, 1_500_000, 20_000):
        kept.append(bytes(size))
    for part in kept[:-1]:
        del part
before = resident()
threads = [threading.Thread(target=burst) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident() - before)
"""


def grown_bytes(word: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, word], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_a_burst_in_several_threads_leaves_little_behind() -> None:
    assert grown_bytes("yes") < 8 * 1024 * 1024
