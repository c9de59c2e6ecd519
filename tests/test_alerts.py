"""deploy/alerts.yaml: valid, about metrics that exist, explained, and firing when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bennu.monitoring.metrics import Metrics

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy" / "alerts.yaml"
PAGE = (ROOT / "docs" / "operations" / "monitoring.md").read_text()
NAMES = re.findall(r"- alert: (\w+)", RULES.read_text())

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Prometheus is not installed: make setup-test"
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert f"{len(NAMES)} rules found" in promtool("check", "rules", str(RULES))


def test_each_alert_has_a_paragraph() -> None:
    assert len(NAMES) > 10
    assert [name for name in NAMES if f"**{name}.**" not in PAGE] == []
    assert set(re.findall(r"\*\*(\w+)\.\*\*", PAGE)) == set(NAMES)


def test_alerts_are_about_metrics_that_exist() -> None:
    metrics = Metrics("1")
    declared = set(re.findall(r"# TYPE (\w+)", metrics.render().decode()))
    from bennu.monitoring.metrics import READINGS  # noqa: PLC0415 - beside the others

    declared |= set(READINGS) | {name + "_bucket" for name in declared}
    used = set(re.findall(r"bennu_\w+", RULES.read_text()))
    assert used - declared == set()


def series(name: str, values: str) -> dict[str, str]:
    inside = name.removesuffix("}").partition("{")
    labels = ",".join(filter(None, (inside[2], 'job="bennu"', 'instance="a"')))
    return {"series": f"{inside[0]}{{{labels}}}", "values": values}


CASES: list[tuple[str, list[dict[str, str]], str]] = [
    ("BennuDown", [series("up", "1+0x5 0+0x20")], "15m"),
    ("BennuDatabaseUnreachable", [series("bennu_database_up", "1+0x5 0+0x20")], "15m"),
    ("BennuServerErrors", [series('bennu_http_answers_total{status="5xx"}', "0+2x40")], "30m"),
    ("BennuSpansRefused", [series("bennu_ingest_requests_refused_total", "0+1x40")], "20m"),
    (
        "BennuQueueFilling",
        [
            series("bennu_ingest_queue_spans", "19000+0x20"),
            series("bennu_ingest_queue_limit_spans", "20000+0x20"),
        ],
        "10m",
    ),
    (
        "BennuSignInsFail",
        [series('bennu_sign_ins_total{method="password",outcome="failed"}', "0+5x40")],
        "20m",
    ),
    ("BennuLockOuts", [series('bennu_lockouts_total{method="ldap"}', "0+3x40")], "20m"),
    (
        "BennuRateLimited",
        [series('bennu_rate_limited_total{limit="sign_in",door="http"}', "0+20x40")],
        "20m",
    ),
    ("BennuDenials", [series("bennu_denials_total", "0+10x40")], "20m"),
    ("BennuSlowClients", [series("bennu_connections_closed_slow_total", "0+20x40")], "20m"),
    ("BennuAuditBehind", [series("bennu_audit_lag_seconds", "0+60x20")], "10m"),
    ("BennuCertificateExpires", [series("bennu_tls_certificate_days_left", "13+0x20")], "5m"),
    ("BennuCertificateExpired", [series("bennu_tls_certificate_days_left", "0+0x20")], "5m"),
    (
        "BennuSecretOld",
        [
            series('bennu_secret_age_days{variable="PHOENIX_SECRET"}', "91+0x90"),
            series("bennu_secret_rotation_days", "90+0x90"),
        ],
        "80m",
    ),
    (
        "BennuCommitsSlow",
        [
            series('bennu_ingest_commit_seconds_bucket{le="1"}', "0+5x40"),
            series('bennu_ingest_commit_seconds_bucket{le="2"}', "0+10x40"),
            series('bennu_ingest_commit_seconds_bucket{le="+Inf"}', "0+10x40"),
        ],
        "30m",
    ),
    (
        "BennuBackgroundWorkFails",
        [series('bennu_task_failures_total{task="audit.pruning"}', "0+1x200")],
        "90m",
    ),
]


def test_every_alert_is_tried() -> None:
    assert {name for name, _, _ in CASES} == set(NAMES)


def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    """Each by its name fires on its series; on a healthy server none does."""
    quiet = [
        series("up", "1+0x120"),
        series("bennu_database_up", "1+0x120"),
        series("bennu_denials_total", "3+0x120"),
        series('bennu_sign_ins_total{method="password",outcome="failed"}', "0+0.5x120"),
        series("bennu_ingest_queue_spans", "100+0x120"),
        series("bennu_ingest_queue_limit_spans", "20000+0x120"),
        series("bennu_tls_certificate_days_left", "60+0x120"),
        series('bennu_secret_age_days{variable="PHOENIX_SECRET"}', "10+0x120"),
        series("bennu_secret_rotation_days", "90+0x120"),
        series("bennu_audit_lag_seconds", "60+0x120"),
    ]
    healthy: dict[str, Any] = {
        "interval": "1m",
        "input_series": quiet,
        "alert_rule_test": [
            {"eval_time": "110m", "alertname": name, "exp_alerts": []} for name in NAMES
        ],
    }
    groups = [healthy]
    for name, given, when in CASES:
        both = [*given, *([] if name == "BennuDown" else [series("up", "1+0x200")])]
        expression = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
        groups.append(
            {
                "interval": "1m",
                "input_series": both,
                "promql_expr_test": [
                    {"expr": expression, "eval_time": when, "exp_samples": [{"value": 1}]}
                ],
            }
        )
    # JSON is YAML.
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": groups}
    (tmp_path / "tests.yaml").write_text(json.dumps(document))
    promtool("test", "rules", str(tmp_path / "tests.yaml"))
