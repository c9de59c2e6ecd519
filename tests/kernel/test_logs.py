"""Form and level of the logs."""

import logging

import pytest

from fakes.settings import names_of_problems, read_settings


def test_the_defaults_are_readable_lines_from_info_on() -> None:
    logs = read_settings().logs
    assert (logs.structured, logs.level, logs.database_level) == (
        False,
        logging.INFO,
        logging.WARNING,
    )


@pytest.mark.parametrize("mode", ["structured", "Structured", "STRUCTURED"])
def test_form_and_level_are_read_in_any_case(mode: str) -> None:
    logs = read_settings(PHOENIX_LOGGING_MODE=mode, PHOENIX_LOGGING_LEVEL="Debug").logs
    assert (logs.structured, logs.level) == (True, logging.DEBUG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOENIX_LOGGING_MODE", "json"),
        ("PHOENIX_LOGGING_LEVEL", "loud"),
        ("PHOENIX_DB_LOGGING_LEVEL", "20"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({name: value}) == [name]
