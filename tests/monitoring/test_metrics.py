"""Every metric is declared once and shown as it is fed."""

import re

import pytest

from bennu.monitoring.metrics import READINGS, Metrics


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_what_happens_is_counted() -> None:
    metrics = Metrics("1.2.3")
    metrics.count_sign_in("password", "failed", 7)
    metrics.count_sign_in("ldap", "throttled")
    metrics.count_denial(2)
    metrics.count_limited("sign_in", "http")
    metrics.count_answer(204)
    metrics.count_answer(0)
    metrics.count_answer(599)
    metrics.count_commit(0.015)
    shown = lines(metrics)
    for line in (
        'bennu_sign_ins_total{method="password",outcome="failed"} 7.0',
        'bennu_sign_ins_total{method="ldap",outcome="throttled"} 1.0',
        'bennu_sign_ins_total{method="oauth2",outcome="succeeded"} 0.0',
        'bennu_lockouts_total{method="ldap"} 1.0',
        "bennu_denials_total 2.0",
        'bennu_rate_limited_total{door="http",limit="sign_in"} 1.0',
        'bennu_http_answers_total{status="2xx"} 1.0',
        'bennu_http_answers_total{status="0xx"} 1.0',
        'bennu_http_answers_total{status="5xx"} 1.0',
        'bennu_ingest_commit_seconds_bucket{le="0.01"} 0.0',
        'bennu_ingest_commit_seconds_bucket{le="0.02"} 1.0',
        'bennu_build_info{version="1.2.3"} 1.0',
    ):
        assert line in shown
    assert not any("_created" in line for line in shown)


def test_readings_show_their_last_values_only() -> None:
    metrics = Metrics("1")
    metrics.put("bennu_api_keys_active", {("user",): 3, ("system",): 1})
    metrics.put("bennu_api_keys_active", {("user",): 2})
    metrics.put_one("bennu_spans_accepted_total", 12)
    shown = lines(metrics)
    assert 'bennu_api_keys_active{kind="user"} 2.0' in shown
    assert not any('kind="system"' in line for line in shown)
    assert "bennu_spans_accepted_total 12.0" in shown
    assert "# TYPE bennu_spans_accepted_total counter" in shown
    assert "# TYPE bennu_api_keys_active gauge" in shown


def test_a_reading_that_is_not_declared_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Metrics("1").put_one("bennu_made_up", 1)


def test_names_follow_the_custom() -> None:
    for name, reading in READINGS.items():
        assert re.fullmatch(r"bennu_[a-z_]+", name)
        assert name.endswith("_total") is reading.is_counter
        assert reading.meaning.endswith(".")


def test_processes_do_not_share_a_registry() -> None:
    one, other = Metrics("1"), Metrics("1")
    one.count_denial()
    assert "bennu_denials_total 0.0" in lines(other)
