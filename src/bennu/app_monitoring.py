"""Wires the metrics: who tells them what, and what is read when they are asked for.

Spec: lines 245-250 (ages), 272.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bennu import __version__
from bennu.audit.events import AuditEvent, EventName
from bennu.audit.log import AuditLog
from bennu.encryption.vault import Vault
from bennu.kernel.clock import Clock, to_microseconds
from bennu.kernel.errors import AppError
from bennu.monitoring.endpoint import MetricsEndpoint
from bennu.monitoring.query import count_in_use
from bennu.network.asgi import AsgiApp
from bennu.network.connections import Connections
from bennu.network.hosts import LOOPBACK_HOSTS, AllowedHosts, HostGuard
from bennu.secrets_in_use import environment_secrets
from bennu.settings import Settings
from bennu.storage.database import Connection, Database
from bennu.traces.ingest.buffer import IngestBuffer

if TYPE_CHECKING:
    from bennu.monitoring.metrics import Metrics

#: Whoever asks more often gets the values of the last time.
FRESH_SECONDS: Final = 5.0
_DAY_MICROSECONDS: Final = 86_400_000_000
_OUTCOMES: Final[Mapping[EventName, str]] = {
    EventName.SIGN_IN_SUCCEEDED: "succeeded",
    EventName.SIGN_IN_FAILED: "failed",
    EventName.SIGN_IN_THROTTLED: "throttled",
}


def metrics_of(settings: Settings) -> "Metrics | None":
    """Return the metrics, None when nobody wants them: then the library is not even loaded."""
    if not settings.monitoring.enabled:
        return None
    from bennu.monitoring.metrics import Metrics  # noqa: PLC0415 - see above

    return Metrics(__version__)


def metrics_application(
    settings: Settings, metrics: "Metrics | None", clock: Clock, watched: "Watched"
) -> AsgiApp | None:
    """Return what is served on the port of the metrics, None when nobody wants them."""
    return None if metrics is None else Monitoring(settings, metrics, clock, watched).application()


@dataclass(slots=True)
class Watched:
    """What the metrics read.

    Args:
        database: asked for counts.
        vault: knows the ages of secrets.
        audit: knows what waits.
        buffer: of the ingest.
        connections: of the HTTP listener.
        task_failures: by name of the task.
        retention: what sweeps did since the start.
        certificate_days: until the certificate expires; None without TLS.
    """

    database: Database
    vault: Vault
    audit: AuditLog
    buffer: IngestBuffer
    connections: Connections
    task_failures: Callable[[], Mapping[str, int]] = field(default=dict)
    retention: Mapping[str, int] = field(default_factory=dict)
    certificate_days: Callable[[], int] | None = None


class Monitoring:
    """Feeds the metrics of one server.

    Args:
        settings: of the server.
        metrics: to feed.
        clock: for ages.
        watched: what is read.
    """

    def __init__(
        self, settings: Settings, metrics: "Metrics", clock: Clock, watched: Watched
    ) -> None:
        self._settings, self._metrics, self._clock = settings, metrics, clock
        self.watched = watched
        self._secrets = environment_secrets(settings)
        self._read_at = float("-inf")
        watched.audit.on_recorded = self._count_event
        watched.buffer.on_commit = metrics.count_commit

    def application(self) -> AsgiApp:
        """Return what is served on the port of the metrics.

        Where only this machine reaches it, only its names are answered: a page in a browser here
        must not read the metrics under a name that it made to resolve to this machine.
        """
        monitoring = self._settings.monitoring
        endpoint = MetricsEndpoint(self.render, monitoring.token)
        hosts = LOOPBACK_HOSTS if monitoring.is_local else ()
        return HostGuard(endpoint, AllowedHosts(hosts))

    async def render(self) -> bytes:
        """Read what is kept elsewhere and return everything as text."""
        now = self._clock.monotonic_seconds()
        if now - self._read_at >= FRESH_SECONDS:
            self._read_at = now
            self._read_process()
            await self._read_database()
        return self._metrics.render()

    def _count_event(self, event: AuditEvent, count: int) -> None:
        outcome = _OUTCOMES.get(event.name)
        if outcome is not None:
            method = str((event.after or {}).get("method", "password"))
            self._metrics.count_sign_in(method, outcome, count)
        elif event.name is EventName.DENIED:
            self._metrics.count_denial(count)

    def _read_process(self) -> None:
        put, watched = self._metrics.put_one, self.watched
        buffer, bounds, connections = watched.buffer, self._settings.traces, watched.connections
        put("bennu_audit_records_waiting", watched.audit.waiting_events)
        put("bennu_audit_lag_seconds", watched.audit.lag_seconds)
        put("bennu_ingest_queue_spans", buffer.waiting_spans)
        put("bennu_ingest_queue_bytes", buffer.waiting_bytes)
        put("bennu_ingest_queue_limit_spans", bounds.max_queue_spans)
        put("bennu_ingest_queue_limit_bytes", bounds.max_queue_bytes)
        put("bennu_spans_accepted_total", buffer.stored_spans_total)
        put("bennu_spans_refused_total", buffer.refused_spans_total)
        put("bennu_ingest_requests_refused_total", buffer.refused_requests_total)
        put("bennu_connections_open", connections.open_count)
        put("bennu_connections_refused_total", connections.refused_total)
        put("bennu_connections_closed_slow_total", connections.closed_slow_total)
        put("bennu_secret_rotation_days", self._settings.encryption.rotation_days)
        if watched.certificate_days is not None:
            put("bennu_tls_certificate_days_left", watched.certificate_days())
        for name in ("runs", "traces", "spans", "failures"):
            put(f"bennu_retention_{name}_total", watched.retention.get(name, 0))
        failures = watched.task_failures()
        self._metrics.put("bennu_task_failures_total", {(n,): c for n, c in failures.items()})

    async def _read_database(self) -> None:
        try:
            await self.watched.database.read(self._count_rows)
        except AppError:
            self._metrics.put_one("bennu_database_up", 0)
        else:
            self._metrics.put_one("bennu_database_up", 1)

    def _count_rows(self, connection: Connection) -> None:
        now = to_microseconds(self._clock.now_utc())
        used = count_in_use(connection, now)
        self._metrics.put("bennu_api_keys_active", {(k,): n for k, n in used.keys.items()})
        self._metrics.put_one("bennu_sessions_active", used.sessions)
        self._metrics.put_one("bennu_users_active", used.users)
        ages: dict[tuple[str, ...], float] = {
            (name,): (now - seen) / _DAY_MICROSECONDS
            for name, seen in self.watched.vault.first_seen(connection, self._secrets).items()
            if seen is not None
        }
        self._metrics.put("bennu_secret_age_days", ages)
