"""What tests of projects, spans and ingest share."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from cryptography.fernet import Fernet
from starlette.types import Receive, Scope, Send

from bennu.access import EVERYBODY, Caller, Principal
from bennu.audit.log import AuditLog
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.httpio.dispatch import application_of
from bennu.httpio.request import CALLER
from bennu.httpio.route import Route
from bennu.kernel.ids import SystemEntropy
from bennu.storage.database import Database
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.settings import TracesSettings
from bennu.traces.wiring import wired_trace_routes
from fakes.clock import FrozenClock

KEY = Fernet.generate_key()


@pytest.fixture
async def audit(database: Database, clock: FrozenClock) -> AuditLog:
    entropy = SystemEntropy()
    audit = AuditLog(database, clock, entropy, Vault(Cipher(Keyring(KEY)), clock, entropy))
    await audit.start()
    return audit


@pytest.fixture
def traces_settings() -> TracesSettings:
    return TracesSettings()


@pytest.fixture
async def buffer(
    database: Database, traces_settings: TracesSettings, clock: FrozenClock
) -> AsyncIterator[IngestBuffer]:
    buffer = IngestBuffer(database, traces_settings, clock)
    yield buffer
    await buffer.drain()


@dataclass
class Door:
    """The routes of everything around traces; calls come from ``principal``."""

    routes: Sequence[Route]
    buffer: IngestBuffer
    principal: Principal = field(default=EVERYBODY)

    def __post_init__(self) -> None:
        self._app = application_of(self.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = Caller(self.principal)
        await self._app(scope, receive, send)


@pytest.fixture
async def door(
    database: Database, audit: AuditLog, buffer: IngestBuffer, traces_settings: TracesSettings
) -> Door:
    routes = wired_trace_routes(database, audit, SystemEntropy(), buffer, traces_settings)
    return Door(routes, buffer)


@pytest.fixture
async def client(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=door)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened
