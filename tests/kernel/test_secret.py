"""A secret shows itself only when it is asked to."""

import copy
import json
import logging
import pickle
import traceback
from dataclasses import dataclass

import pytest

from bennu.kernel.log_lines import JsonLines, ReadableLines
from bennu.kernel.secret import Secret

VALUE = "do-not-show-0123456789"
SECRET = Secret(VALUE)


@dataclass(frozen=True)
class Holder:
    name: str
    secret: Secret


def test_it_is_revealed_on_demand_only() -> None:
    assert SECRET.reveal() == VALUE
    shown = [
        *(str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET!r:>9}", f"{SECRET:>9}"),
        *("%s %r" % (SECRET, SECRET), str([SECRET]), str({"a": SECRET})),  # noqa: UP031
        repr(Holder("n", SECRET)),
    ]
    for text in shown:
        assert "***" in text
        assert VALUE not in text


@pytest.mark.asvs("16.2.5")
def test_logs_and_tracebacks_do_not_show_it() -> None:
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "INFO", "msg": "%s", "args": (SECRET,)}
    )
    vars(record).update(secret=SECRET)
    for formatter in (JsonLines(), ReadableLines()):
        assert VALUE not in formatter.format(record)
    with pytest.raises(TypeError) as caught:
        json.dumps({"secret": SECRET})
    assert VALUE not in "".join(traceback.format_exception(caught.value))


def test_it_holds_no_dictionary_and_is_never_pickled_or_copied() -> None:
    assert not hasattr(SECRET, "__dict__")
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            take(SECRET)


def test_equal_values_are_equal_and_hash_alike() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("é") == Secret("é")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_an_empty_one_is_false() -> None:
    assert not Secret("")
    assert Secret(" ")
