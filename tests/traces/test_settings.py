"""Bounds of the ingest."""

import pytest

from bennu.traces.settings import TracesSettings
from fakes.settings import names_of_problems, read_settings


def test_the_defaults_are_those_of_the_contract() -> None:
    assert read_settings().traces == TracesSettings()
    assert read_settings().traces.max_queue_spans == 20_000


def test_every_bound_is_read() -> None:
    assert read_settings(
        PHOENIX_MAX_SPANS_QUEUE_SIZE="1",
        PHOENIX_MAX_SPANS_QUEUE_BYTES="2",
        PHOENIX_MAX_REQUEST_BODY_BYTES="3",
        PHOENIX_MAX_DECOMPRESSED_BODY_BYTES="4",
    ).traces == TracesSettings(1, 2, 3, 4)


@pytest.mark.parametrize(
    "name",
    [
        "PHOENIX_MAX_SPANS_QUEUE_SIZE",
        "PHOENIX_MAX_SPANS_QUEUE_BYTES",
        "PHOENIX_MAX_REQUEST_BODY_BYTES",
        "PHOENIX_MAX_DECOMPRESSED_BODY_BYTES",
    ],
)
@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_wrong_bound_names_its_variable(name: str, value: str) -> None:
    assert names_of_problems({name: value}) == [name]
