"""Where the counters are served."""

import pytest

from fakes.settings import names_of_problems, names_of_warnings, read_settings


def test_counters_are_off_and_local() -> None:
    monitoring = read_settings().monitoring
    assert (monitoring.enabled, monitoring.host, monitoring.port) == (False, "127.0.0.1", 9090)


def test_counters_for_everybody_are_warned_about() -> None:
    values = {"PHOENIX_ENABLE_PROMETHEUS": "true", "PHOENIX_PROMETHEUS_HOST": "0.0.0.0"}  # noqa: S104 - nothing is bound
    assert names_of_warnings(values) == ["PHOENIX_PROMETHEUS_HOST"]
    assert names_of_warnings(values, PHOENIX_PROMETHEUS_TOKEN="t") == []


@pytest.mark.parametrize("port", ["0", "x", "6006", "4317"])
def test_a_wrong_port_is_refused(port: str) -> None:
    values = {"PHOENIX_ENABLE_PROMETHEUS": "true", "PHOENIX_PROMETHEUS_PORT": port}
    assert names_of_problems(values) == ["PHOENIX_PROMETHEUS_PORT"]
