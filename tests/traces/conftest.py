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
from bennu.traces.absent.routes import absent_routes
from bennu.traces.annotation_configs.flow import AnnotationConfigs
from bennu.traces.annotation_configs.routes import annotation_config_routes
from bennu.traces.annotations.flow import Annotations
from bennu.traces.annotations.routes import annotation_routes
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.ingest.routes import export_routes
from bennu.traces.projects.flow import Projects
from bennu.traces.projects.routes import project_routes
from bennu.traces.sessions.flow import TraceSessions
from bennu.traces.sessions.routes import trace_session_routes
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.flow import Spans
from bennu.traces.spans.routes import span_routes
from bennu.traces.traces.flow import Traces
from bennu.traces.traces.routes import trace_routes
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
    database: Database,
    clock: FrozenClock,
    audit: AuditLog,
    buffer: IngestBuffer,
    traces_settings: TracesSettings,
) -> Door:
    routes = (
        *project_routes(Projects(database, clock, audit)),
        *span_routes(Spans(database, audit, buffer.take_new_spans), traces_settings),
        *export_routes(buffer, traces_settings),
        *trace_routes(Traces(database, audit)),
        *trace_session_routes(TraceSessions(database, audit)),
        *annotation_routes(Annotations(database, clock, SystemEntropy(), audit)),
        *annotation_config_routes(AnnotationConfigs(database, clock, audit)),
        *absent_routes(),
    )
    return Door(routes, buffer)


@pytest.fixture
async def client(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=door)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened
