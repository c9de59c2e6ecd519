"""The metrics are fed by what really happens, over a database, an audit trail and a buffer."""

from dataclasses import replace

import pytest

from bennu.access import Caller, Principal, PrincipalKind
from bennu.app_monitoring import (
    FRESH_SECONDS,
    Monitoring,
    Watched,
    metrics_application,
    metrics_of,
)
from bennu.audit.events import AuditEvent, EventName, Outcome
from bennu.kernel.errors import UnavailableError
from bennu.kernel.secret import Secret
from bennu.monitoring.metrics import Metrics
from bennu.monitoring.settings import MonitoringSettings
from bennu.network.client_address import ClientAddresses
from bennu.network.connections import ConnectionBounds, Connections
from bennu.settings import Settings
from bennu.storage.database import Database
from bennu.traces.ingest.buffer import IngestBuffer
from bennu.traces.settings import TracesSettings
from fakes.accounts import Accounts
from fakes.asgi import ask
from fakes.clock import FrozenClock
from fakes.settings import read_settings

STRANGER = Caller(Principal(PrincipalKind.ANONYMOUS), "192.0.2.1")


class Fed:
    """Metrics over the parts that feed them."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self.accounts, self.clock = Accounts(database, clock), clock
        self.settings: Settings = read_settings(PHOENIX_SECRET="0123456789abcdef0123456789abcdef")
        self.buffer = IngestBuffer(database, TracesSettings(max_queue_bytes=10), clock)
        self.watched = Watched(
            database,
            self.accounts.vault,
            self.accounts.audit,
            self.buffer,
            Connections(ConnectionBounds(), ClientAddresses()),
        )
        self.monitoring = Monitoring(self.settings, Metrics("1"), clock, self.watched)

    async def lines(self) -> list[str]:
        self.clock.advance(FRESH_SECONDS)
        return (await self.monitoring.render()).decode().splitlines()


@pytest.fixture
def fed(database: Database, clock: FrozenClock) -> Fed:
    return Fed(database, clock)


async def test_sign_ins_and_denials_are_counted_as_they_are_recorded(fed: Fed) -> None:
    audit = fed.accounts.audit
    await audit.start()
    failed = AuditEvent(EventName.SIGN_IN_FAILED, Outcome.FAILED, "x", after={"method": "ldap"})
    for _ in range(5):
        await audit.note(failed, STRANGER)
    await audit.note(AuditEvent(EventName.DENIED, Outcome.DENIED, "y"), STRANGER)
    throttled = AuditEvent(EventName.SIGN_IN_THROTTLED, Outcome.DENIED, after={"method": "ldap"})
    await audit.note(throttled, STRANGER)
    shown = await fed.lines()
    assert 'bennu_sign_ins_total{method="ldap",outcome="failed"} 1.0' in shown
    assert "bennu_audit_records_waiting 4.0" in shown
    assert f"bennu_audit_lag_seconds {FRESH_SECONDS}" in shown
    await audit.flush_folded(all_bursts=True)
    shown = await fed.lines()
    assert 'bennu_sign_ins_total{method="ldap",outcome="failed"} 5.0' in shown
    assert 'bennu_lockouts_total{method="ldap"} 1.0' in shown
    assert "bennu_denials_total 1.0" in shown
    assert "bennu_audit_records_waiting 0.0" in shown
    assert "bennu_audit_lag_seconds 0.0" in shown


async def test_what_is_kept_elsewhere_is_read(fed: Fed) -> None:
    user = await fed.accounts.add_user(password=Secret("correct horse battery"))
    await fed.accounts.open(user)
    fed.watched.certificate_days = lambda: 12
    fed.watched.task_failures = lambda: {"audit.pruning": 3}
    secrets = {"PHOENIX_SECRET": fed.settings.encryption.secret or Secret("")}
    vault = fed.accounts.vault
    await fed.accounts.database.write(lambda c: vault.record_sightings(c, secrets))
    fed.clock.advance(86_400 * 2 - FRESH_SECONDS)
    shown = await fed.lines()
    assert "bennu_users_active 1.0" in shown
    assert "bennu_tls_certificate_days_left 12.0" in shown
    assert 'bennu_task_failures_total{task="audit.pruning"} 3.0' in shown
    assert 'bennu_secret_age_days{variable="PHOENIX_SECRET"} 2.0' in shown
    assert "bennu_secret_rotation_days 90.0" in shown
    assert "bennu_database_up 1.0" in shown
    assert "bennu_ingest_queue_limit_spans 20000.0" in shown


async def test_refused_exports_are_counted(fed: Fed) -> None:
    with fed.buffer.reserve() as first, fed.buffer.reserve() as other:
        first.grow(8)
        with pytest.raises(UnavailableError):
            other.grow(2_500)
        shown = await fed.lines()
    assert "bennu_ingest_queue_bytes 8.0" in shown
    assert "bennu_ingest_requests_refused_total 1.0" in shown
    assert "bennu_spans_refused_total 2.0" in shown


async def test_who_asks_often_costs_the_database_nothing(fed: Fed) -> None:
    await fed.lines()
    await fed.accounts.add_user()
    assert b"bennu_users_active 0.0" in await fed.monitoring.render()
    assert "bennu_users_active 1.0" in await fed.lines()


async def test_a_database_that_is_away_is_a_reading(database: Database, clock: FrozenClock) -> None:
    fed = Fed(database, clock)
    await fed.lines()
    await database.stop()
    assert "bennu_database_up 0.0" in await fed.lines()
    await database.start()


async def test_only_names_of_this_machine_are_answered_on_loopback(fed: Fed) -> None:
    evil = [("host", "evil.example")]
    application = fed.monitoring.application()
    assert (await ask(application, path="/metrics", headers=evil)).status_code == 400
    local = [("host", "localhost:9090")]
    assert (await ask(application, path="/metrics", headers=local)).status_code == 200
    wide = replace(fed.settings, monitoring=MonitoringSettings(host="10.0.0.1"))
    application = Monitoring(wide, Metrics("1"), fed.clock, fed.watched).application()
    assert (await ask(application, path="/metrics", headers=evil)).status_code == 200


async def test_nobody_who_does_not_ask_gets_metrics(fed: Fed) -> None:
    assert metrics_of(fed.settings) is None
    assert metrics_application(fed.settings, None, fed.clock, fed.watched) is None
    enabled = replace(fed.settings, monitoring=MonitoringSettings(enabled=True))
    assert metrics_of(enabled) is not None
