"""Typed readers: what they accept, and that they collect instead of stopping."""

from pathlib import Path

import pytest

from bennu.kernel.env import MASK, Env, Problem, SettingsError, Sourced
from bennu.kernel.env_file import env_of


def test_every_mistake_is_collected() -> None:
    env = env_of({"A": "x", "B": "y", "C": "z"})
    assert env.whole("A", 1, 0, 9) == 1
    assert env.flag("B", default=True) is True
    assert env.choice("C", "one", ("one", "two")) == "one"
    assert [(p.name, p.read, p.source) for p in env.problems] == [
        ("A", "x", "environment"),
        ("B", "y", "environment"),
        ("C", "z", "environment"),
    ]


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_a_flag_is_true_in_any_case(text: str) -> None:
    assert env_of({"A": text}).flag("A", default=False) is True


@pytest.mark.parametrize("text", ["1", "yes", "on", "", "tru\u0435"])
def test_anything_else_is_no_flag(text: str) -> None:
    env = env_of({"A": text})
    env.flag("A", default=False)
    assert [p.allowed for p in env.problems] == ["true or false"]


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("9", 9), ("+5", 5), ("05", 5)])
def test_a_whole_number_in_range_is_read(text: str, value: int) -> None:
    assert env_of({"A": text}).whole("A", 0, 1, 9) == value


@pytest.mark.parametrize("text", ["0", "10", "-1", "1.0", "", "1_0", "٣", "1e1", "9" * 30])
def test_other_numbers_are_refused(text: str) -> None:
    env = env_of({"A": text})
    assert env.whole("A", 3, 1, 9) == 3
    assert [p.allowed for p in env.problems] == ["a whole number from 1 to 9"]


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("10", 10.0)])
def test_a_number_above_zero_is_read(text: str, value: float) -> None:
    assert env_of({"A": text}).positive("A", 1) == value


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "", "0.0"])
def test_a_number_not_above_zero_is_refused(text: str) -> None:
    env = env_of({"A": text})
    assert env.positive("A", 7) == 7
    assert len(env.problems) == 1


def test_a_choice_gets_the_spelling_of_the_list() -> None:
    assert env_of({"A": "StartTLS"}).choice("A", "none", ("none", "starttls")) == "starttls"


def test_items_are_trimmed_and_empty_ones_left_out() -> None:
    assert env_of({"A": " a , b,,c ,"}).items("A") == ("a", "b", "c")
    assert env_of({}).items("A") == ()


def test_a_file_must_be_there_and_hold_something(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.write_text("")
    full.write_text("x")
    assert env_of({"A": str(full)}).file("A") == full
    for wrong in (empty, tmp_path / "missing", tmp_path):
        env = env_of({"A": str(wrong)})
        env.file("A")
        assert [(p.name, p.read) for p in env.problems] == [("A", str(wrong))]


def test_json_is_read_or_refused() -> None:
    assert env_of({"A": "[1]"}).json("A") == [1]
    assert env_of({}).json("A") is None
    for wrong in ("{", "[" * 100_000):
        env = env_of({"A": wrong})
        assert env.json("A") is None
        assert len(env.problems) == 1


@pytest.mark.asvs("13.3.1")
def test_a_secret_comes_from_its_variable_or_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" hunter2 \n")
    for values in ({"A": "hunter2"}, {"A_FILE": str(path)}):
        env = env_of(values)
        secret = env.secret("A")
        assert secret is not None
        assert secret.reveal() == "hunter2"
        assert env.is_set("A")
        assert env.problems == []
    assert env_of({}).secret("A") is None


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    env = env_of({"A": "hunter2", "A_FILE": str(path)})
    assert env.secret("A") is None
    assert [(p.name, p.read, p.allowed) for p in env.problems] == [
        ("A", MASK, "either A or A_FILE, not both")
    ]


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_secret_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    env = env_of({"A_FILE": str(path)})
    assert env.secret("A") is None
    assert [(p.name, p.read) for p in env.problems] == [("A_FILE", str(path))]


def test_hidden_variables_are_masked_wherever_they_show() -> None:
    env = env_of({"A": "hunter2"})
    env.hide(["A"])
    env.refuse("A", "something else")
    env.warn("A", "remarkable")
    assert [p.read for p in (*env.problems, *env.warnings)] == [MASK, MASK]


def test_a_password_inside_an_address_is_masked() -> None:
    env = env_of({"A": "https://ada:hunter2@example.com/x"})
    env.refuse("A", "something else")
    assert "hunter2" not in env.problems[0].read
    assert "example.com" in env.problems[0].read


def test_a_long_value_is_shortened() -> None:
    env = env_of({"A": "x" * 5000})
    env.refuse("A", "something else")
    assert len(env.problems[0].read) < 300


def test_an_error_says_every_problem() -> None:
    problems = (Problem("A", "x", "y", "f:1"), Problem("B", "(not set)", "z", "default"))
    assert str(SettingsError(problems)) == (
        "A: y (read: x, from: f:1)\nB: z (read: (not set), from: default)"
    )


def test_readers_fall_back_to_the_default() -> None:
    env = Env({"EMPTY": Sourced("", "f:1")})
    assert (env.text("A", "x"), env.text("EMPTY", "x")) == ("x", "x")
    assert (env.optional("A"), env.optional("EMPTY")) == (None, None)
    assert not env.is_set("EMPTY")
    assert env.path("A") is None
    assert (env.flag("A", default=True), env.whole("A", 4, 1, 9)) == (True, 4)
    assert (env.positive("A", 2.5), env.choice("A", "x", ("y",))) == (2.5, "x")
    assert env.problems == []
