"""Slow, large and many: real sockets against a real server with small bounds."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from bennu.httpio.respond import text_answer
from bennu.network.client_address import ClientAddresses
from bennu.network.connections import ConnectionBounds, Connections

SMALL = ConnectionBounds(
    per_address=5,
    head_bytes=4_096,
    head_seconds=20,
    idle_seconds=60,
    body_bytes_per_second=100,
    body_seconds=10,
    unread_seconds=30,
    rest_seconds=10,
)
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Served:
    """A server on a free port, and the loop's time as the tests move it."""

    def __init__(self, connections: Connections, port: int) -> None:
        self.connections, self.port = connections, port
        self._passed = 0.0
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        count = self.connections.open_count + self.connections.refused_total
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        for _ in range(2_000):
            if self.connections.open_count + self.connections.refused_total > count:
                break
            await asyncio.sleep(0.001)
        self._writers.append(streams[1])
        return streams

    async def hang_up(self) -> None:
        """Close the ends of the clients."""
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def settle(self) -> None:
        """Let what was sent arrive."""
        await asyncio.sleep(0.05)

    async def pass_time(self, seconds: float) -> int:
        """Sweep as if so much time had passed; return how many were closed."""
        before = self.connections.closed_slow_total
        self._passed += seconds
        self.connections.sweep(asyncio.get_running_loop().time() + self._passed)
        await self.settle()
        return self.connections.closed_slow_total - before


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, unless the path says otherwise; answer much where the path says so."""
    if scope["path"] != "/early":
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            more = message["more_body"]
    text = "x" * 20_000_000 if scope["path"] == "/much" else "done"
    await text_answer(text)(scope, receive, send)


@asynccontextmanager
async def served(bounds: ConnectionBounds = SMALL, *trusted: str) -> AsyncIterator[Served]:
    connections = Connections(bounds, ClientAddresses(trusted))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        http=connections.protocol_class(),
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    clients = Served(connections, listener.getsockname()[1])
    try:
        yield clients
    finally:
        await clients.hang_up()
        await server.shutdown(sockets=[listener])


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection ends, however it ends."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_a_request_that_behaves_is_answered() -> None:
    async with served() as server:
        reader, writer = await server.connect()
        for _ in range(3):
            writer.write(REQUEST)
            assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
            assert await server.pass_time(10) == 0


async def test_a_head_that_never_ends_is_closed_in_time() -> None:
    async with served() as server:
        silent, _silent = await server.connect()
        reader, writer = await server.connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
        await server.settle()
        assert await server.pass_time(15) == 0
        writer.write(b"x-more: 1\r\n")
        await server.settle()
        assert await server.pass_time(6) == 2
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
        assert await rest_of(silent) == b""
        assert server.connections.open_count == 0


async def test_an_idle_connection_is_closed_later() -> None:
    async with served() as server:
        reader, writer = await server.connect()
        writer.write(REQUEST)
        await reader.readuntil(b"done")
        assert await server.pass_time(70) == 0
        assert await server.pass_time(15) == 1


async def test_a_body_must_come_at_a_pace() -> None:
    async with served() as server:
        _, slow = await server.connect()
        _, steady = await server.connect()
        for writer in (slow, steady):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        await server.settle()
        assert await server.pass_time(1) == 0
        for _ in range(3):
            slow.write(b"x" * 100)
            steady.write(b"x" * 2_000)
            await server.settle()
            await server.pass_time(11)
        assert server.connections.closed_slow_total == 1
        assert server.connections.open_count == 1


async def test_who_goes_on_sending_after_the_answer_is_cut_off() -> None:
    async with served() as server:
        reader, writer = await server.connect()
        writer.write(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        await reader.readuntil(b"done")
        writer.write(b"x" * 5_000)
        await server.settle()
        assert await server.pass_time(9) == 0
        assert await server.pass_time(2) == 1


async def test_who_does_not_read_the_answer_is_cut_off() -> None:
    async with served() as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(0.3)
            assert await server.pass_time(1) == 0
            assert await server.pass_time(20) == 0
            assert await server.pass_time(20) == 1


async def test_who_does_not_read_is_cut_off_even_with_a_second_request_begun() -> None:
    """There is nobody to tell so: what is written to such a client waits without an end."""
    async with served() as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n")
            await asyncio.sleep(0.3)
            assert await server.pass_time(1) == 0
            assert await server.pass_time(40) == 1
            assert server.connections.open_count == 0


@pytest.mark.parametrize("in_one", [True, False])
@pytest.mark.parametrize("size", [3_000, 300_000])
async def test_a_head_has_a_bound(size: int, *, in_one: bool) -> None:
    async with served() as server:
        reader, writer = await server.connect()
        head = b"GET / HTTP/1.1\r\nhost: x\r\nx-large: " + b"x" * size + b"\r\n\r\n"
        parts = [head] if in_one else [head[i : i + 1_000] for i in range(0, len(head), 1_000)]
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            answer = await reader.read(30)
        except ConnectionError:
            answer = b"HTTP/1.1 431"  # closed while the rest was still being sent
        assert answer.startswith(b"HTTP/1.1 200" if size < 4_096 else b"HTTP/1.1 431")


async def test_a_large_body_is_no_large_head() -> None:
    async with served() as server:
        reader, writer = await server.connect()
        for _ in range(2):
            head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n"
            writer.write(head + b"x" * 200_000)
            assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")


async def test_one_address_may_have_so_many_connections() -> None:
    async with served() as server:
        kept = [await server.connect() for _ in range(5)]
        reader, _ = await server.connect()
        assert (await reader.read()).startswith(b"HTTP/1.1 503")
        kept[0][1].close()
        await server.settle()
        reader, writer = await server.connect()
        writer.write(REQUEST)
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
        assert server.connections.refused_total == 1
        await server.hang_up()
        await server.settle()
        assert server.connections.open_count == 0


async def test_a_trusted_proxy_may_have_any_number() -> None:
    async with served(SMALL, "127.0.0.0/8") as server:
        for _ in range(12):
            await server.connect()
        assert server.connections.open_count == 12


async def test_what_is_no_http_is_answered() -> None:
    async with served() as server:
        reader, writer = await server.connect()
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")


async def test_the_watch_sweeps_until_cancelled() -> None:
    bounds = ConnectionBounds(head_seconds=0.01)
    async with served(bounds) as server:
        watching = asyncio.create_task(server.connections.watch())
        reader, _ = await server.connect()
        assert await rest_of(reader) == b""
        watching.cancel()
        assert server.connections.closed_slow_total == 1
