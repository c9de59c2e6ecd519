"""Every metric, declared once: what is counted as it happens, and what is read when asked for.

The library is loaded only where ``PHOENIX_ENABLE_PROMETHEUS`` is true. No label ever holds what a
stranger can choose: the set of series is bounded.

Spec: line 272. Source: Prometheus, "Metric and label naming".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_METHODS: Final = ("password", "ldap", "oauth2")
_OUTCOMES: Final = ("succeeded", "failed", "throttled")
_COMMIT_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that is kept elsewhere and read when the metrics are asked for.

    Args:
        meaning: one sentence, shown beside the metric.
        labels: names, in the order in which values are given.
        is_counter: it only grows; its name ends in ``_total``.
    """

    meaning: str
    labels: tuple[str, ...] = ()
    is_counter: bool = False


READINGS: Final[Mapping[str, Reading]] = MappingProxyType(
    {
        "bennu_build_info": Reading("The version that runs; always 1.", ("version",)),
        "bennu_database_up": Reading("1 when the database answered the last time it was asked."),
        "bennu_api_keys_active": Reading("API keys that are not expired, by kind.", ("kind",)),
        "bennu_sessions_active": Reading("Sessions of people that are not over."),
        "bennu_users_active": Reading("Accounts that may sign in."),
        "bennu_audit_records_waiting": Reading("Events counted in memory, not yet in the trail."),
        "bennu_audit_lag_seconds": Reading("Age of the oldest event not yet in the trail, or 0."),
        "bennu_tls_certificate_days_left": Reading("Whole days until the certificate expires."),
        "bennu_secret_age_days": Reading(
            "Days since the value of a secret was first seen.", ("variable",)
        ),
        "bennu_secret_rotation_days": Reading("Age at which secrets should be rotated."),
        "bennu_ingest_queue_spans": Reading("Spans that wait for their commit, as estimated."),
        "bennu_ingest_queue_bytes": Reading("Bytes of requests that wait for their commit."),
        "bennu_ingest_queue_limit_spans": Reading("Bound of the queue in spans."),
        "bennu_ingest_queue_limit_bytes": Reading("Bound of the queue in bytes."),
        "bennu_spans_accepted_total": Reading("Spans that were stored.", is_counter=True),
        "bennu_spans_refused_total": Reading(
            "Spans of requests that were refused for lack of room, as estimated.", is_counter=True
        ),
        "bennu_ingest_requests_refused_total": Reading(
            "Export requests that were refused for lack of room.", is_counter=True
        ),
        "bennu_connections_open": Reading("Open HTTP connections."),
        "bennu_connections_refused_total": Reading(
            "Connections refused because their address has too many.", is_counter=True
        ),
        "bennu_connections_closed_slow_total": Reading(
            "Connections closed because the client was too slow.", is_counter=True
        ),
        "bennu_retention_runs_total": Reading("Finished runs of policies.", is_counter=True),
        "bennu_retention_traces_total": Reading("Traces that sweeps deleted.", is_counter=True),
        "bennu_retention_spans_total": Reading("Spans that sweeps deleted.", is_counter=True),
        "bennu_retention_failures_total": Reading(
            "Projects that a sweep could not finish.", is_counter=True
        ),
        "bennu_task_failures_total": Reading(
            "Failed runs of work beside requests, by name.", ("task",), is_counter=True
        ),
    }
)


class Metrics(Collector):
    """The metrics of one server process, in a registry of their own."""

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._sign_ins = Counter(
            "bennu_sign_ins",
            "Attempts to sign in; throttled ones were refused unseen by the lock-out.",
            ("method", "outcome"),
            registry=registry,
        )
        self._lock_outs = Counter(
            "bennu_lockouts",
            "Attempts refused because there were too many failures, by method.",
            ("method",),
            registry=registry,
        )
        self._denials = Counter(
            "bennu_denials",
            "Requests refused for lack of a permission, or sent by another website.",
            registry=registry,
        )
        self._rate_limited = Counter(
            "bennu_rate_limited",
            "Requests answered 429 or RESOURCE_EXHAUSTED, by limit and door.",
            ("limit", "door"),
            registry=registry,
        )
        self._answers = Counter(
            "bennu_http_answers",
            "Answers over HTTP, by class of status.",
            ("status",),
            registry=registry,
        )
        self._commit_seconds = Histogram(
            "bennu_ingest_commit_seconds",
            "Time from taking a group of requests to having it on the disk.",
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        self._answers_of_class = [self._answers.labels(f"{first}xx") for first in range(6)]
        # There from the start, so that the first event is an increase too.
        for method in _METHODS:
            self._lock_outs.labels(method)
            for outcome in _OUTCOMES:
                self._sign_ins.labels(method, outcome)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        registry.register(self)
        self.put("bennu_build_info", {(version,): 1})

    # --- as it happens ---------------------------------------------------------------------

    def count_sign_in(self, method: str, outcome: str, count: int = 1) -> None:
        """Count attempts to sign in; ``outcome`` is succeeded, failed or throttled."""
        self._sign_ins.labels(method, outcome).inc(count)
        if outcome == "throttled":
            self._lock_outs.labels(method).inc(count)

    def count_denial(self, count: int = 1) -> None:
        """Count refusals."""
        self._denials.inc(count)

    def count_limited(self, limit: str, door: str) -> None:
        """Count a request beyond a limit; ``door`` is http or grpc."""
        self._rate_limited.labels(limit, door).inc()

    def count_answer(self, status: int) -> None:
        """Count an answer; status 0 stands for none, when the client went away."""
        self._answers_of_class[status // 100 if status < 600 else 5].inc()  # noqa: PLR2004

    def count_commit(self, seconds: float) -> None:
        """Count a commit of spans."""
        self._commit_seconds.observe(seconds)

    # --- when asked for --------------------------------------------------------------------

    def put(self, name: str, values: Mapping[tuple[str, ...], float]) -> None:
        """Take the values of a reading, by label values, in place of the earlier ones.

        Raises:
            KeyError: no such reading is declared.
        """
        _ = READINGS[name]
        self._values[name] = dict(values)

    def put_one(self, name: str, value: float) -> None:
        """Take the value of a reading without labels."""
        self.put(name, {(): value})

    def collect(self) -> Iterable[Metric]:
        """Return the readings as the library wants them."""
        for name, reading in READINGS.items():
            if name not in self._values:
                continue
            kind = CounterMetricFamily if reading.is_counter else GaugeMetricFamily
            family = kind(name, reading.meaning, labels=reading.labels)
            for labels, value in self._values[name].items():
                family.add_metric(labels, value)
            yield family

    def render(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self._registry)
