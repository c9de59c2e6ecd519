"""Measure what the audit trail costs: a sign-in, an export of spans, a record, a verification.

    .venv/bin/python tools/bench_audit.py [--sign-ins 200] [--exports 300] [--records 100000]

One process, one client, a SQLite file in a temporary folder, no network: what is measured is the
server's own work. Calls with and without the trail alternate, so that a busy machine disturbs
both alike; "without" means that the append itself does nothing, everything else stays.
"""

import argparse
import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bennu.access import SERVER, Caller
from bennu.app import Application
from bennu.audit.events import AuditEvent, EventName, Target
from bennu.audit.log import AuditLog
from bennu.audit.verify import verify_trail
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.kernel.clock import SystemClock
from bennu.kernel.env_file import env_of
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.settings import Settings
from bennu.storage.database import Connection, Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings

SECRET = "a-secret-of-the-benchmark-0123456789"  # noqa: S105 - good for nothing else
ADMIN_SECRET = "another-one-of-the-benchmark-0123456789"  # noqa: S105 - good for nothing else
PASSWORD = "first-Password-of-4-admin"  # noqa: S105 - good for nothing else
SPANS_PER_EXPORT = 50
RECORDS_PER_COMMIT = 1_000
Call = Callable[[int], Awaitable[Any]]


@contextmanager
def no_trail() -> Iterator[None]:
    """Leave out the append, and nothing else."""
    kept = AuditLog.record

    def nothing(*_: Any, **__: Any) -> None:  # noqa: ANN401 - any call of it
        """Write nothing."""

    AuditLog.record = nothing  # type: ignore[method-assign]
    try:
        yield
    finally:
        AuditLog.record = kept  # type: ignore[method-assign]


async def in_turns(call: Call, pairs: int) -> tuple[list[float], list[float]]:
    """Call with and without the trail in turns; return the seconds of each call."""
    with_trail, without = list[float](), list[float]()
    for number in range(2 * pairs):
        is_without = number % 2 == 1
        began = time.perf_counter()
        if is_without:
            with no_trail():
                await call(number)
        else:
            await call(number)
        (without if is_without else with_trail).append(time.perf_counter() - began)
    return with_trail, without


def told(name: str, with_trail: list[float], without: list[float]) -> None:
    """Print one line of the table."""
    one, other = (statistics.median(seconds) * 1000 for seconds in (with_trail, without))
    print(f"| {name} | {one:.2f} ms | {other:.2f} ms | {100 * (one - other) / other:+.1f} % |")


def export_of(number: int) -> bytes:
    """Return one export as an exporter would send it."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for place in range(SPANS_PER_EXPORT):
        span = scope.spans.add()
        span.trace_id = (number + 1).to_bytes(16, "big")
        span.span_id = (number * SPANS_PER_EXPORT + place + 1).to_bytes(8, "big")
        span.name = "measured"
        span.start_time_unix_nano = 1_767_225_600_000_000_000 + place
        span.end_time_unix_nano = span.start_time_unix_nano + 1_000_000
    return request.SerializeToString()


async def measure_requests(folder: Path, sign_ins: int, exports: int) -> None:
    """Measure sign-ins and exports through the whole application, without a socket."""
    values = {
        "PHOENIX_ENABLE_AUTH": "true",
        "PHOENIX_SECRET": SECRET,
        "PHOENIX_ADMIN_SECRET": ADMIN_SECRET,
        "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD": PASSWORD,
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_DISABLE_RATE_LIMIT": "true",
    }
    application = Application(Settings.from_env(env_of(values)))
    await application.start()
    transport = httpx.ASGITransport(application.asgi, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        credentials = {"email": "admin@localhost", "password": PASSWORD}

        async def sign_in(_: int) -> None:
            answer = await client.post("/auth/login", json=credentials)
            answer.raise_for_status()
            client.cookies.clear()

        bodies = [export_of(number) for number in range(2 * exports)]
        headers = {
            "content-type": "application/x-protobuf",
            "authorization": f"Bearer {ADMIN_SECRET}",
        }

        async def export(number: int) -> None:
            answer = await client.post("/v1/traces", content=bodies[number], headers=headers)
            answer.raise_for_status()

        await in_turns(sign_in, 5)
        told("a sign-in", *await in_turns(sign_in, sign_ins))
        told(f"an export of {SPANS_PER_EXPORT} spans", *await in_turns(export, exports))
    await application.stop()


async def measure_trail(folder: Path, records: int) -> None:
    """Measure appending to a trail and verifying all of it."""
    settings = StorageSettings(folder, sqlite_path=folder / "trail.db")
    database = Database(settings, SystemClock())
    await database.start()
    await migrate(database, settings)
    vault = Vault(Cipher(Keyring.from_secrets(Secret(SECRET))), SystemClock(), SystemEntropy())
    audit = AuditLog(database, SystemClock(), SystemEntropy(), vault)
    await audit.start()
    event = AuditEvent(EventName.USER_CHANGED, target=Target("user", "VXNlcjox", "ann"))

    def append(connection: Connection) -> None:
        for _ in range(RECORDS_PER_COMMIT):
            audit.record(connection, event, Caller(SERVER, "192.0.2.7", "bench", "0" * 16))

    began = time.perf_counter()
    for _ in range(records // RECORDS_PER_COMMIT):
        await database.write(append)
    seconds = time.perf_counter() - began
    print(f"\nA record: {1_000_000 * seconds / records:.0f} microseconds, beside its commit.")
    began = time.perf_counter()
    finding = await database.read(lambda connection: verify_trail(connection, vault))
    seconds = time.perf_counter() - began
    print(f"Verifying {finding.records:,} records: {seconds:.1f} s (whole: {finding.ok}).")
    await database.stop()


async def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sign-ins", type=int, default=200)
    parser.add_argument("--exports", type=int, default=300)
    parser.add_argument("--records", type=int, default=100_000)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print("| median of | with the trail | without | difference |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        await measure_requests(Path(folder) / "requests", arguments.sign_ins, arguments.exports)
    with tempfile.TemporaryDirectory() as folder:
        await measure_trail(Path(folder), arguments.records)


if __name__ == "__main__":
    asyncio.run(main())
