"""Settings of the reference without a meaning here."""

import pytest

from bennu.inactive_settings import VARIABLES
from fakes.settings import names_of_problems, names_of_warnings, read_settings

GOOD = {
    "flag": "true",
    "number": "10",
    "number from 0 to 100": "90",
    "URL": "https://example.com",
    "email": "ada@example.com",
    "text": "anything",
    "strict or off": "off",
    "disabled or local_only or enabled": "local_only",
}


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda v: v.name)
def test_each_is_accepted_with_a_note(variable: object) -> None:
    name, kind = getattr(variable, "name", ""), getattr(variable, "kind", "")
    (warning,) = read_settings({name: GOOD[kind]}).warnings
    assert warning.name == name
    assert "without effect" in warning.allowed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOENIX_TELEMETRY_ENABLED", "off"),
        ("PHOENIX_ENABLE_MCP_SERVER", "1"),
        ("PHOENIX_OAUTH2_GRANT_EXPIRY_DAYS", "0"),
        ("PHOENIX_DATABASE_ALLOCATED_STORAGE_CAPACITY_GIBIBYTES", "-1"),
        ("PHOENIX_DATABASE_USAGE_INSERTION_BLOCKING_THRESHOLD_PERCENTAGE", "101"),
        ("PHOENIX_MANAGEMENT_URL", "example.com"),
        ("PHOENIX_SUPPORT_EMAIL", "help"),
        ("PHOENIX_OAUTH2_CONSENT_ORIGIN_CHECK", "loose"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({name: value}) == [name]


def test_nothing_is_noted_when_nothing_is_set() -> None:
    assert names_of_warnings() == []
