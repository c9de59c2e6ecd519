"""How a record becomes one line that nobody can forge."""

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.log_lines import JsonLines, ReadableLines, one_line


def record(message: str, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "bennu.test", "levelname": "INFO", "msg": message})
    vars(made).update(fields)
    return made


@pytest.mark.asvs("16.2.2")
def test_a_json_line_holds_the_fields() -> None:
    line = json.loads(JsonLines().format(record("auth.sign_in.failed", actor="VXNlcjox", count=2)))
    assert line["message"] == "auth.sign_in.failed"
    assert line["level"] == "INFO"
    assert line["logger"] == "bennu.test"
    assert (line["actor"], line["count"]) == ("VXNlcjox", 2)
    assert line["timestamp"].endswith("+00:00")


def test_a_readable_line_names_the_event_and_its_fields() -> None:
    line = ReadableLines().format(record("user.created", target="x", reason="two words"))
    assert line.endswith('INFO    user.created target=x reason="two words"')


@pytest.mark.asvs("1.1.2", "16.4.1")
@given(st.text())
def test_nothing_sent_makes_a_second_line(text: str) -> None:
    for formatter in (JsonLines(), ReadableLines()):
        assert len(formatter.format(record("event", agent=text)).splitlines()) == 1
    assert one_line(text).isprintable()


@pytest.mark.parametrize("formatter", [JsonLines(), ReadableLines()])
def test_a_traceback_is_kept(formatter: logging.Formatter) -> None:
    try:
        int("told")
    except ValueError:
        failed = record("event")
        failed.exc_info = sys.exc_info()
    assert "ValueError: invalid literal" in formatter.format(failed)


def test_the_text_of_an_error_forges_no_line_either() -> None:
    forged = "x\n2026-01-01T00:00:00 INFO    auth.sign_in.succeeded\u2028again\x1b[2Jgone"
    failed = record("event")
    failed.exc_info = (ValueError, ValueError(forged), None)
    first, *rest = ReadableLines().format(failed).split("\n")
    assert first.endswith("event")
    assert all(line.startswith("  | ") for line in rest)
    assert all(line.isprintable() for line in rest)
    assert len(JsonLines().format(failed).splitlines()) == 1
