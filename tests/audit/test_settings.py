"""The retention of audit records."""

import pytest

from fakes.settings import names_of_problems, read_settings

NAME = "PHOENIX_AUDIT_RETENTION_DAYS"


def test_records_are_kept_for_a_year_and_more() -> None:
    assert read_settings().audit.retention_days == 400
    assert read_settings({NAME: "30"}).audit.retention_days == 30


@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_a_wrong_value_is_refused(value: str) -> None:
    assert names_of_problems({NAME: value}) == [NAME]
