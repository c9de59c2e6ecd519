"""One trail of several processes, and long ones. Spec: lines 256-260."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select

from bennu.audit.verify import TrailFinding, verify_trail
from bennu.storage.database import Database
from bennu.storage.schema import audit_events
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from fakes.rotation_process import described
from fakes.trail import Trail, started_trail

TESTS = Path(__file__).parent.parent
MOST_SECONDS = 15


class Writer:
    """A process that appends records when it is told to begin."""

    def __init__(self, settings: StorageSettings, name: str, records: int) -> None:
        self._told = {"settings": described(settings), "writer": name, "records": records}

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fakes.trail_process"),
            cwd=TESTS,
            env={"PATH": os.defpath, "PYTHONPATH": str(TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._told).encode() + b"\n")
        assert await self._process.stdout.readline() == b"ready\n"

    async def finish(self) -> None:
        await self._process.communicate(b"go\n")
        assert self._process.returncode == 0


@pytest.mark.parametrize(
    "records",
    [400, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(1_800)])],
)
async def test_two_processes_leave_one_valid_chain(
    database: Database, storage_settings: StorageSettings, clock: FrozenClock, records: int
) -> None:
    each = records // 2
    writers = ("one", "two")
    processes = [Writer(storage_settings, name, each) for name in writers]
    for process in processes:
        await process.start()
    await asyncio.gather(*(process.finish() for process in processes))
    trail = Trail(database, clock)
    finding = await database.read(lambda c: verify_trail(c, trail.vault))
    assert finding == TrailFinding(records)
    statement = select(audit_events.c.actor_id).order_by(audit_events.c.sequence)
    actors = await database.read(lambda c: list(c.execute(statement).scalars()))
    assert Counter(actors) == dict.fromkeys(writers, each)
    # They wrote at the same time, not one after the other; the lock of SQLite may stay with one.
    assert database.dialect == "sqlite" or sum(one != other for one, other in pairwise(actors)) > 2


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_a_hundred_thousand_records_verify_soon(
    database: Database, clock: FrozenClock
) -> None:
    trail = await started_trail(database, clock)
    for _ in range(100):
        await trail.write(1_000)
    began = time.perf_counter()
    finding = await database.read(lambda c: verify_trail(c, trail.vault))
    seconds = time.perf_counter() - began
    assert finding == TrailFinding(100_000)
    sys.stderr.write(f"{database.dialect}: 100,000 records verified in {seconds:.1f} s\n")
    assert seconds < MOST_SECONDS
