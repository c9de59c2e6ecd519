"""Certificates are exchanged under load: no request fails, new connections see the new one.

Spec: lines 179-196.
"""

import asyncio
import hashlib
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest

from peers.pki import Certificate, Pki
from started import ADMIN_SECRET, StartedServer, tls_context

CONNECTIONS = 32
CHANNELS = 4
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
REQUEST = (
    f"GET /v1/projects HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN_SECRET}\r\n\r\n"
).encode()


class Load:
    """Requests over both ports until told to stop; every failure is kept."""

    def __init__(self, server: StartedServer, pki: Pki) -> None:
        self._server, self._roots, self.pki = server, pki.authority.cert.read_bytes(), pki
        self.tls = tls_context(pki)
        self._is_over = asyncio.Event()
        self.done, self.connections, self.failures = 0, 0, list[str]()

    async def run(self, seconds: float) -> None:
        """Keep half of the connections, and open a new one a request with the other half."""
        kinds: list[Callable[[], Awaitable[None]]] = [self._keep, self._reconnect]
        workers = [kinds[number % 2]() for number in range(CONNECTIONS)]
        workers += [self._call(is_kept=number % 2 == 0) for number in range(CHANNELS)]
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(self._guarded(worker))
            await asyncio.sleep(seconds)
            self._is_over.set()

    async def _guarded(self, worker: Awaitable[None]) -> None:
        try:
            await worker
        except (OSError, EOFError, grpc.aio.AioRpcError, ValueError) as error:
            self.failures.append(repr(error))

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.connections += 1
        return await asyncio.open_connection("127.0.0.1", self._server.port, ssl=self.tls)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(head.decode())
        self.done += 1

    async def _keep(self) -> None:
        reader, writer = await self._open()
        while not self._is_over.is_set():
            await self._ask(reader, writer)
            await asyncio.sleep(0.02)
        writer.close()

    async def _reconnect(self) -> None:
        while not self._is_over.is_set():
            reader, writer = await self._open()
            await self._ask(reader, writer)
            writer.close()
            await asyncio.sleep(0.05)

    async def _call(self, *, is_kept: bool) -> None:
        metadata = (("authorization", f"Bearer {ADMIN_SECRET}"),)
        target = f"127.0.0.1:{self._server.grpc_port}"
        credentials = grpc.ssl_channel_credentials(self._roots)
        while not self._is_over.is_set():
            # Without a pool of its own each channel would share the connection of the others.
            options = (("grpc.use_local_subchannel_pool", 1),)
            async with grpc.aio.secure_channel(target, credentials, options) as channel:
                self.connections += 1
                while not self._is_over.is_set():
                    await channel.unary_unary(METHOD)(b"", metadata=metadata)
                    self.done += 1
                    await asyncio.sleep(0.05)
                    if not is_kept:
                        break


async def shown_on(port: int, pki: Pki) -> str:
    """Return the fingerprint of the certificate that a new connection sees."""
    context = tls_context(pki)
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return hashlib.sha256(der).hexdigest()


def fingerprint(pair: Certificate) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pair.cert.read_text())).hexdigest()


def put(pair: Certificate, place: Certificate) -> None:
    """Put a pair into place, one file after the other, as a tool of an authority does."""
    for source, target in ((pair.key, place.key), (pair.cert, place.cert)):
        new = target.with_suffix(".new")
        new.write_bytes(source.read_bytes())
        new.replace(target)


async def exchange(
    server: StartedServer, load: Load, pair: Certificate, place: Certificate, patience: float
) -> float:
    """Exchange the files; return how long it took until both ports show the new one."""
    await asyncio.to_thread(put, pair, place)
    began = time.monotonic()
    wanted = fingerprint(pair)
    for port in (server.port, server.grpc_port):
        while await shown_on(port, load.pki) != wanted:
            assert time.monotonic() - began < patience, port
            await asyncio.sleep(0.1)
    return time.monotonic() - began


async def swap_under_load(
    folder: Path, pki: Pki, *, seconds: float, swaps: int, patience: float
) -> None:
    pairs = [
        pki.authority.issue(f"swap-{name}", "/O=Test/CN=localhost", algorithm=name)
        for name in ("EC", "RSA")
    ]
    place = Certificate(folder / "cert.pem", folder / "key.pem")
    put(pairs[1], place)
    env = {
        "PHOENIX_TLS_ENABLED": "true",
        "PHOENIX_TLS_CERT_FILE": str(place.cert),
        "PHOENIX_TLS_KEY_FILE": str(place.key),
        "PHOENIX_DISABLE_RATE_LIMIT": "true",
    }
    with StartedServer(folder, env, tls=tls_context(pki)) as server:
        load = Load(server, pki)
        running = asyncio.create_task(load.run(seconds))
        for number in range(swaps):
            await asyncio.sleep(seconds / (swaps + 1) / 4)
            await exchange(server, load, pairs[number % 2], place, patience)
        await running
        assert load.failures == []
        assert load.done > CONNECTIONS + CHANNELS
        assert load.connections > CONNECTIONS + CHANNELS
        records = server.client(ADMIN_SECRET).get("/v1/audit_events?limit=100").json()["data"]
    changes = [r for r in records if r["event"] == "tls.certificate.changed"]
    assert len(changes) == swaps
    newest = changes[0]
    assert newest["outcome"] == "succeeded"
    assert newest["after"]["fingerprint"] == fingerprint(pairs[(swaps - 1) % 2])
    assert newest["before"]["fingerprint"] == fingerprint(pairs[swaps % 2])
    assert newest["actor"]["kind"] == "server"


async def test_certificates_are_exchanged_under_load(tmp_path: Path, pki: Pki) -> None:
    # A busy machine may be late by itself; the soak run demands the five seconds.
    await swap_under_load(tmp_path, pki, seconds=8, swaps=2, patience=40)


@pytest.mark.soak
@pytest.mark.parametrize(("seconds", "swaps"), [(20, 3), (120, 20)])
async def test_certificates_are_exchanged_under_load_for_long(
    tmp_path: Path, pki: Pki, seconds: float, swaps: int
) -> None:
    await swap_under_load(tmp_path, pki, seconds=seconds, swaps=swaps, patience=5)


async def test_a_broken_pair_changes_nothing_and_sighup_says_so(tmp_path: Path, pki: Pki) -> None:
    place = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    put(pki.server, place)
    env = {
        "PHOENIX_TLS_ENABLED": "true",
        "PHOENIX_TLS_CERT_FILE": str(place.cert),
        "PHOENIX_TLS_KEY_FILE": str(place.key),
    }
    with StartedServer(tmp_path, env, tls=tls_context(pki)) as server:
        place.key.write_bytes(pki.client.key.read_bytes())
        server.send_signal("SIGHUP")
        deadline = time.monotonic() + 40
        while "not the key of" not in server.log():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        for port in (server.port, server.grpc_port):
            assert await shown_on(port, pki) == fingerprint(pki.server)
        failed = []
        while not failed:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
            answer = server.client(ADMIN_SECRET).get("/v1/audit_events?limit=100")
            events = [r for r in answer.json()["data"] if r["event"] == "tls.certificate.changed"]
            failed = [r for r in events if r["outcome"] == "failed"]
        assert failed[0]["reason"] == "unusable_files"
        assert failed[0]["target"]["id"] == fingerprint(pki.server)
        other = pki.authority.issue("sighup", "/CN=localhost")
        put(other, place)
        server.send_signal("SIGHUP")
        while await shown_on(server.port, pki) != fingerprint(other):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
