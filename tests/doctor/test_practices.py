"""The cheap checks, and that a server logs what fails of them at its start. Spec: 226-250."""

from pathlib import Path

import pytest

from bennu.doctor.model import State
from bennu.doctor.practices import check_practices
from fakes.settings import read_settings
from started import SECRET, StartedServer

GOOD = {"PHOENIX_ENABLE_AUTH": "true", "PHOENIX_SECRET": SECRET, "PHOENIX_HOST": "127.0.0.1"}


def state_of(check: str, **env: str) -> State:
    (found,) = [f for f in check_practices(read_settings({**GOOD, **env})) if f.check == check]
    return found.state


@pytest.mark.parametrize(
    ("check", "env", "state"),
    [
        ("authentication", {}, State.OK),
        ("authentication", {"PHOENIX_ENABLE_AUTH": "false"}, State.WARN),
        ("cookies", {}, State.WARN),
        ("cookies", {"PHOENIX_ROOT_URL": "https://a.example"}, State.OK),
        ("cookies", {"PHOENIX_ENABLE_AUTH": "false"}, State.SKIP),
        ("tls_http", {}, State.SKIP),
        ("tls_http", {"PHOENIX_HOST": "::"}, State.WARN),
        ("tls_http", {"PHOENIX_ROOT_URL": "https://a.example"}, State.OK),
        ("forced_password_change", {"PHOENIX_ENFORCE_PASSWORD_RESET": "false"}, State.WARN),
        (
            "plain_origins",
            {
                "PHOENIX_ROOT_URL": "https://a.example",
                "PHOENIX_ALLOWED_ORIGINS": "http://b.example",
            },
            State.WARN,
        ),
        (
            "database_tls",
            {"PHOENIX_SQL_DATABASE_URL": "postgresql://u:p@db.example/d"},
            State.WARN,
        ),
        (
            "database_tls",
            {"PHOENIX_SQL_DATABASE_URL": "postgresql://u:p@db.example/d?sslmode=verify-full"},
            State.OK,
        ),
        (
            "monitoring",
            {"PHOENIX_ENABLE_PROMETHEUS": "true", "PHOENIX_PROMETHEUS_HOST": "::"},
            State.WARN,
        ),
        ("monitoring", {"PHOENIX_ENABLE_PROMETHEUS": "true"}, State.OK),
    ],
)
def test_states(check: str, env: dict[str, str], state: State) -> None:
    assert state_of(check, **env) is state


def test_metrics_that_others_can_read_are_said_once() -> None:
    env = {**GOOD, "PHOENIX_ENABLE_PROMETHEUS": "true", "PHOENIX_PROMETHEUS_HOST": "::"}
    found = [f for f in check_practices(read_settings(env)) if "PROMETHEUS" in f.variable]
    assert [f.check for f in found] == ["monitoring"]


def test_a_start_says_what_fails(tmp_path: Path) -> None:
    with StartedServer(tmp_path, {"PHOENIX_DISABLE_RATE_LIMIT": "true"}) as server:
        (line,) = [text for text in server.log().splitlines() if "doctor.failed" in text]
        assert "PHOENIX_DISABLE_RATE_LIMIT" in line
