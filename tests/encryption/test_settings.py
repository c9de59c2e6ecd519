"""The secret and its rules."""

from pathlib import Path

import pytest

from bennu.kernel.env import MASK
from fakes.settings import OTHER_SECRET, SECRET, names_of_warnings, problems_of, read_settings

TOO_SHORT = "abc-1"


def test_no_secret_is_fine_with_authentication_off() -> None:
    encryption = read_settings().encryption
    assert (encryption.secret, encryption.previous, encryption.rotation_days) == (None, (), 90)


def test_secret_and_earlier_ones_are_read() -> None:
    encryption = read_settings(
        PHOENIX_SECRET=SECRET,
        PHOENIX_SECRET_PREVIOUS=f"{OTHER_SECRET}, old ,",
        PHOENIX_ROTATION_DAYS="30",
    ).encryption
    assert encryption.secret is not None
    assert encryption.secret.reveal() == SECRET
    assert [s.reveal() for s in encryption.previous] == [OTHER_SECRET, "old"]
    assert encryption.rotation_days == 30
    assert SECRET not in repr(encryption)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("a" * 31, "at least 32 characters"),
        ("a" * 40, "digit"),
        ("A1" * 20, "lowercase"),
        ("a1" * 20 + " b", "white space"),
        ("a1é" * 20, "ASCII"),
        ("", "empty"),
        ("''", "empty"),
    ],
)
def test_every_broken_rule_is_named_and_the_value_masked(value: str, rule: str) -> None:
    found = problems_of(PHOENIX_SECRET=value)
    assert {p.name for p in found} == {"PHOENIX_SECRET"}
    assert any(rule in p.allowed for p in found)
    assert {p.read for p in found} == {MASK}


def test_two_broken_rules_are_two_problems() -> None:
    assert len(problems_of(PHOENIX_SECRET="ABC")) == 3


def test_a_broken_rule_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(TOO_SHORT)
    found = problems_of(PHOENIX_SECRET_FILE=str(path))
    assert {p.name for p in found} == {"PHOENIX_SECRET_FILE"}
    assert all(TOO_SHORT not in str(p) for p in found)


def test_earlier_secrets_need_a_current_one() -> None:
    assert [p.name for p in problems_of(PHOENIX_SECRET_PREVIOUS="old")] == [
        "PHOENIX_SECRET_PREVIOUS"
    ]


def test_the_current_secret_among_the_earlier_ones_is_remarked() -> None:
    assert names_of_warnings(PHOENIX_SECRET=SECRET, PHOENIX_SECRET_PREVIOUS=SECRET) == [
        "PHOENIX_SECRET_PREVIOUS"
    ]


@pytest.mark.parametrize("value", ["0", "-1", "x", "4000"])
def test_a_wrong_age_is_refused(value: str) -> None:
    assert [p.name for p in problems_of(PHOENIX_ROTATION_DAYS=value)] == ["PHOENIX_ROTATION_DAYS"]
