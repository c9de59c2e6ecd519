"""The secret is changed while people and programs go on working. Spec: 178.

The old way: everything stops, everybody signs in anew, every key is made anew. Here sessions and
keys from before stay valid, no request fails, and a rotation that is killed is taken up again.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.rotate import count_sealed_values
from bennu.kernel.clock import SystemClock
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.settings import StorageSettings
from fakes.sealed_rows import SEALED_COLUMNS, plant
from started import ADMIN_EMAIL, PASSWORD, StartedServer

OLD, NEW = "0123456789abcdef0123456789abcdef-old", "0123456789abcdef0123456789abcdef-new"
FIRST_ROW = 1_000  # of the planted ones; the server's own come before


def _key_id(secret: str) -> str:
    return Keyring.from_secrets(Secret(secret)).current_key_id


class Load:
    """Threads that keep calling; every answer that is not as it should be is kept."""

    def __init__(self, *calls: Callable[[int], httpx.Response]) -> None:
        self._over = threading.Event()
        self._calls = calls
        self.wrong: list[str] = []
        self.done = 0

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._repeat, args=(c,)) for c in self._calls]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, call: Callable[[int], httpx.Response]) -> None:
        turn = 0
        while not self._over.is_set():
            try:
                answer = call(turn)
            except httpx.HTTPError as error:
                self.wrong.append(repr(error))
            else:
                if answer.status_code >= 300:
                    self.wrong.append(f"{answer.request.url} {answer.status_code} {answer.text}")
            turn += 1
            self.done += 1
            time.sleep(0.01)


def _export(number: int) -> bytes:
    span = Span(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name="online",
        start_time_unix_nano=1_700_000_000_000_000_000,
        end_time_unix_nano=1_700_000_000_000_000_001,
    )
    spans = ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])
    return ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()


class Rotator:
    """Runs ``bennu secret rotate`` beside a server and looks at how far it got."""

    def __init__(self, server: StartedServer, settings: StorageSettings) -> None:
        self._database = Database(settings, SystemClock())
        self._env_file = server.folder / "rotate.env"
        self._env_file.write_text("".join(f"{k}={v}\n" for k, v in server.env.items()))
        self._env_file.chmod(0o600)
        self.old, self.new = _key_id(OLD), _key_id(NEW)

    async def start(self) -> None:
        await self._database.start()

    async def stop(self) -> None:
        await self._database.stop()

    async def counts(self) -> dict[str, int]:
        return await self._database.read(count_sealed_values)

    async def run(self) -> tuple[int, str]:
        """Run one rotation to its end; return its status and what it printed."""
        process = await self._launch()
        out, err = await process.communicate()
        return process.returncode or 0, (out + err).decode()

    async def run_until_killed(self) -> None:
        """Run one rotation and kill it once it has re-sealed something."""
        before = (await self.counts())[self.old]
        process = await self._launch()
        while (await self.counts()).get(self.old, 0) == before:
            assert process.returncode is None
            await asyncio.sleep(0.005)
        process.kill()
        await process.communicate()

    async def _launch(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bennu", "secret", "rotate", "--json"),
            *("--env-file", str(self._env_file)),
            env={"PATH": os.defpath},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


async def _plant(settings: StorageSettings, rows: int) -> None:
    database = Database(settings, SystemClock())
    await database.start()
    cipher = Cipher(Keyring.from_secrets(Secret(OLD)))
    await database.write(lambda c: plant(c, cipher.seal, rows, first=FIRST_ROW))
    await database.stop()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("sqlite", 20_000),
        pytest.param("sqlite", 100_000, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
        pytest.param("postgresql", 20_000, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
    ],
)
async def test_rotation_under_load_killed_three_times(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, values: int
) -> None:
    if kind == "sqlite":
        path = tmp_path / "bennu.db"
        settings = StorageSettings(tmp_path, sqlite_path=path)
        url = f"sqlite:///{path}"
    else:
        settings = request.getfixturevalue("postgres_settings")
        url = request.getfixturevalue("postgres_url")
    env = {
        "PHOENIX_SECRET": OLD,
        "PHOENIX_SQL_DATABASE_URL": url,
        "PHOENIX_DISABLE_RATE_LIMIT": "true",
    }
    server = StartedServer(tmp_path, env)
    with server:
        session = await asyncio.to_thread(server.admin)
        key = await asyncio.to_thread(server.api_key, session)
        secrets = {"secrets": [{"key": "KEPT", "value": "from before"}]}
        assert session.put("/v1/secrets", json=secrets).status_code == 200
        cookies = dict(session.cookies)
        await asyncio.to_thread(server.terminate)

        rows = -(-values // len(SEALED_COLUMNS))
        await _plant(settings, rows)
        server.env |= {"PHOENIX_SECRET": NEW, "PHOENIX_SECRET_PREVIOUS": OLD}
        await asyncio.to_thread(server.start)
        await _rotate_beside_load(server, settings, key, cookies)
        await asyncio.to_thread(server.terminate)

        server.env |= {"PHOENIX_SECRET": NEW, "PHOENIX_SECRET_PREVIOUS": ""}
        await asyncio.to_thread(server.start)
        assert server.client(key).get("/v1/projects").status_code == 200
        assert server.client(cookie=_cookie_header(cookies)).get("/v1/user").status_code == 200
        assert (await asyncio.to_thread(server.sign_in, password=PASSWORD)).cookies
        await asyncio.to_thread(server.terminate)

        server.env |= {"PHOENIX_SECRET": OLD}
        with pytest.raises(AssertionError, match="PHOENIX_SECRET is not the secret"):
            await asyncio.to_thread(server.start)


async def _rotate_beside_load(
    server: StartedServer, settings: StorageSettings, key: str, cookies: dict[str, str]
) -> None:
    program, person = server.client(key), server.client(cookie=_cookie_header(cookies))
    stranger = server.client()
    protobuf = {"content-type": "application/x-protobuf"}
    credentials = {"email": ADMIN_EMAIL, "password": PASSWORD}
    rotator = Rotator(server, settings)
    await rotator.start()
    with Load(
        lambda turn: program.post("/v1/traces", content=_export(turn + 1), headers=protobuf),
        lambda _: person.get("/v1/user"),
        lambda _: stranger.post("/auth/login", json=credentials),
        lambda turn: person.put(
            "/v1/secrets", json={"secrets": [{"key": f"row_{turn % 9}", "value": f"{turn}"}]}
        ),
    ) as load:
        for _ in range(3):
            await rotator.run_until_killed()
            assert (await rotator.counts())[rotator.old] > 0
        status, told = await rotator.run()
        assert status == 0, told
        counts = await rotator.counts()
    await rotator.stop()
    assert load.wrong == []
    assert load.done > 40
    assert counts.keys() == {rotator.new}
    assert NEW not in told
    assert OLD not in server.log() + told


def _cookie_header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
