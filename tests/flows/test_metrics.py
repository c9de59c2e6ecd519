"""The metrics of a started server, read as Prometheus reads them."""

import re
from pathlib import Path

import httpx
import pytest

from peers.pki import Pki
from started import ADMIN_EMAIL, StartedServer, free_port


def read(port: int, **headers: str) -> dict[str, float]:
    """Return the values by name and labels."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers, timeout=60)
    assert answer.status_code == 200
    found = re.findall(r"^(bennu_\S+) (\S+)$", answer.text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_a_server_counts_what_it_does(tmp_path: Path, pki: Pki) -> None:
    """Spec 272: sign-ins, limits, denials, keys, sessions, spans, the certificate."""
    port = free_port()
    env = {
        "PHOENIX_ENABLE_PROMETHEUS": "true",
        "PHOENIX_PROMETHEUS_PORT": str(port),
        "PHOENIX_PROMETHEUS_TOKEN": "token-of-the-metrics-5",
        "PHOENIX_DISABLE_RATE_LIMIT": "false",
        "PHOENIX_TLS_ENABLED_FOR_GRPC": "true",
        "PHOENIX_TLS_CERT_FILE": str(pki.server.cert),
        "PHOENIX_TLS_KEY_FILE": str(pki.server.key),
    }
    with StartedServer(tmp_path, env) as server:
        admin = server.admin()  # three sign-ins, one of which fails
        key = server.api_key(admin)
        body = {"email": ADMIN_EMAIL, "password": "guess-5"}
        statuses = [admin.post("/auth/login", json=body).status_code for _ in range(4)]
        assert statuses == [401, 401, 429, 429]
        spans = {"data": [span(f"{number:016x}") for number in range(1, 4)]}
        client = server.client(key)
        assert client.post("/v1/projects/default/spans", json=spans).status_code < 300
        assert client.get("/v1/users").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).status_code == 401
        values = read(port, authorization="Bearer token-of-the-metrics-5")
    assert values['bennu_sign_ins_total{method="password",outcome="succeeded"}'] == 2
    assert values['bennu_sign_ins_total{method="password",outcome="failed"}'] >= 1
    assert values['bennu_rate_limited_total{door="http",limit="sign_in"}'] == 2
    assert values['bennu_api_keys_active{kind="user"}'] == 1
    assert values["bennu_sessions_active"] >= 1
    assert values["bennu_spans_accepted_total"] == 3
    assert values["bennu_ingest_commit_seconds_count"] == 1
    assert 25 <= values["bennu_tls_certificate_days_left"] <= 30
    assert 0 <= values['bennu_secret_age_days{variable="PHOENIX_SECRET"}'] < 1
    assert values['bennu_http_answers_total{status="2xx"}'] > 3
    assert values["bennu_database_up"] == 1


def span(span_id: str) -> dict[str, object]:
    return {
        "name": "s",
        "context": {"trace_id": "0" * 31 + "7", "span_id": span_id},
        "span_kind": "UNKNOWN",
        "start_time": "2026-01-02T03:04:05Z",
        "end_time": "2026-01-02T03:04:06Z",
        "status_code": "OK",
    }


@pytest.mark.asvs("13.4.5")
def test_without_the_switch_there_is_no_port(tmp_path: Path) -> None:
    port = free_port()
    with StartedServer(tmp_path, {"PHOENIX_PROMETHEUS_PORT": str(port)}):
        refused = False
        try:
            httpx.get(f"http://127.0.0.1:{port}/metrics")
        except httpx.ConnectError:
            refused = True
        assert refused
