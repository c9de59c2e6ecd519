"""The socket that says whether the server is ready."""

import asyncio
import logging
import socket
import stat
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bennu.monitoring.probe_socket import (
    ProbeFailedError,
    ProbeSocket,
    ask_probe_socket,
    probe_socket_path,
)


class Probe:
    """A started socket and the reasons that it gives."""

    def __init__(self, path: Path) -> None:
        self.path, self.why = path, ()
        self.socket = ProbeSocket(path, self.reasons)

    async def reasons(self) -> tuple[str, ...]:
        return self.why

    async def ask(self) -> str:
        """Return why the server is not ready, "" when it is."""
        try:
            await asyncio.to_thread(ask_probe_socket, self.path, 10)
        except ProbeFailedError as error:
            return str(error)
        return ""

    why: tuple[str, ...]


@pytest.fixture
async def probe(tmp_path: Path) -> AsyncIterator[Probe]:
    made = Probe(probe_socket_path(tmp_path / "work", 6006))
    await made.socket.start()
    yield made
    await made.socket.stop()


async def test_ready_or_why_not(probe: Probe) -> None:
    assert await probe.ask() == ""
    probe.why = ("database unreachable", "ingest queue full")
    assert await probe.ask() == "not ready: database unreachable, ingest queue full"


async def test_only_the_owner_may_ask(probe: Probe) -> None:
    assert stat.S_IMODE(probe.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(probe.path.parent.stat().st_mode) == 0o700


async def test_curl_can_ask_too(probe: Probe) -> None:
    command = ["curl", "-s", "-w", "%{http_code}", "--unix-socket", str(probe.path), "http://x/"]
    for why, answer in (((), "ready200"), (("stopping",), "stopping503")):
        probe.why = why
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False
        )
        assert done.stdout == answer


async def test_a_name_may_be_longer_than_an_address_of_a_socket(tmp_path: Path) -> None:
    long = Probe(probe_socket_path(tmp_path / ("x" * 120), 6006))
    await long.socket.start()
    assert await long.ask() == ""
    await long.socket.stop()
    assert not long.path.exists()


async def test_what_a_dead_server_left_is_replaced(probe: Probe) -> None:
    second = ProbeSocket(probe.path, probe.reasons)
    await second.start()
    assert await probe.ask() == ""
    await second.stop()


async def test_nobody_there(tmp_path: Path) -> None:
    nobody = Probe(tmp_path / "bennu-6006.sock")
    assert (await nobody.ask()).startswith("no server: there is no ")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(nobody.path))
    dead.close()
    assert "no answer" in await nobody.ask()


async def test_a_name_that_is_taken_is_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="bennu.monitoring")
    (tmp_path / "x.sock").write_text("mine")
    for path in (tmp_path / "x.sock", tmp_path / "x.sock" / "y.sock"):
        taken = Probe(path)
        await taken.socket.start()
        await taken.socket.stop()
    assert caplog.messages == ["probe.socket.unavailable"] * 2
    assert (tmp_path / "x.sock").read_text() == "mine"


async def test_who_says_nothing_or_nonsense_is_left_alone(probe: Probe) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(str(probe.path))
    noisy = socket.socket(socket.AF_UNIX)
    noisy.connect(str(probe.path))
    await asyncio.to_thread(noisy.sendall, b"x" * 100_000)
    assert await probe.ask() == ""
    noisy.close()
    silent.close()
