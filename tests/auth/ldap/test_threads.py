"""The directory's own threads."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from bennu.auth.ldap import threads as module
from bennu.auth.ldap.deadline import Deadline
from bennu.auth.ldap.faults import LdapFault
from bennu.auth.ldap.threads import DirectoryThreads
from bennu.kernel.clock import SystemClock


@pytest.fixture
def one_thread() -> Iterator[DirectoryThreads]:
    made = DirectoryThreads(SystemClock(), count=1)
    yield made
    made.stop()


async def test_work_runs_beside_the_event_loop(one_thread: DirectoryThreads) -> None:
    here = threading.get_ident()
    assert await one_thread.run(lambda _: threading.get_ident()) != here


async def test_waiting_for_a_thread_counts_too(one_thread: DirectoryThreads) -> None:
    release = threading.Event()
    first = asyncio.create_task(one_thread.run(lambda _: release.wait(60)))
    await asyncio.sleep(0)
    ran = []
    second = asyncio.create_task(one_thread.run(ran.append, seconds=0.05))
    await asyncio.sleep(0.1)
    release.set()
    assert await first
    with pytest.raises(LdapFault, match="did not answer in time"):
        await second
    assert ran == []


async def test_work_that_forgets_its_deadline_holds_nobody_else(
    one_thread: DirectoryThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.01)
    release = threading.Event()

    def forgetful(_: Deadline) -> bool:
        return release.wait(60)

    with pytest.raises(LdapFault):
        await one_thread.run(forgetful, seconds=0.05)
    release.set()


async def test_too_many_are_told_at_once(
    one_thread: DirectoryThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 1)
    release = threading.Event()
    first = asyncio.create_task(one_thread.run(lambda _: release.wait(60)))
    await asyncio.sleep(0)
    with pytest.raises(LdapFault, match="too many"):
        await one_thread.run(lambda _: True)
    release.set()
    assert await first
    assert await one_thread.run(lambda _: True)


async def test_an_error_of_the_work_comes_through(one_thread: DirectoryThreads) -> None:
    def fail(_: Deadline) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await one_thread.run(fail)
