"""A file, a function or a list of parameters that is too large is found."""

from pathlib import Path

from tools.check_sizes import FILE_LINES, FUNCTION_LINES, too_large


def test_what_is_within_the_bounds_is_not_found(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("class A:\n    def f(self, a, b, c, *, d, e, f): ...\n", "utf-8")
    assert list(too_large(source)) == []


def test_named_parameters_count(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("def f(a, b, c, *, d, e, f, g): ...\n", "utf-8")
    assert list(too_large(source)) == [f"{source}:1: f has 7 parameters, at most 6"]


def test_a_long_function_and_a_long_file_are_found(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("def f():\n" + "    x = 1\n" * FUNCTION_LINES, "utf-8")
    assert list(too_large(source)) == [f"{source}:1: f has 61 lines, at most 60"]
    source.write_text("x = 1\n" * (FILE_LINES + 1), "utf-8")
    assert list(too_large(source)) == [f"{source}: 401 lines, at most 400"]
