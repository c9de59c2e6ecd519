"""The default retention."""

import pytest

from fakes.settings import names_of_problems, read_settings

NAME = "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS"


def test_traces_are_kept_for_ever_unless_something_is_said() -> None:
    assert read_settings().privacy.default_retention_days == 0
    assert read_settings({NAME: "90"}).privacy.default_retention_days == 90


@pytest.mark.parametrize("value", ["-1", "90 days", "1.5", ""])
def test_a_wrong_value_is_refused(value: str) -> None:
    assert names_of_problems({NAME: value}) == [NAME]
