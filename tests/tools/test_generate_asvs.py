import ast
from pathlib import Path

import pytest
from tools.generate_asvs import (
    PAGE,
    ROOT,
    TABLE,
    Requirement,
    main,
    marked_tests,
    page_of,
    problems_of,
    read_table,
)

#: Requirements of levels 1 and 2 that apply; how many of them must point to a test, and of how
#: many the test was seen to fail without the control.
APPLICABLE, TESTED, SHOWN = 203, 190, 20
NUMBERS = ("1.1.1", "1.1.2", "1.1.4", "1.1.6", "9.9.9")
TABLE_NOW = read_table((ROOT / TABLE).read_text("utf-8"))


def test_the_page_is_current_and_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_each_requirement_points_to_a_test_or_says_what_is_missing() -> None:
    tests = marked_tests(ROOT / "tests")
    assert len(TABLE_NOW) == len({one.number for one in TABLE_NOW}) == APPLICABLE
    assert {one.level for one in TABLE_NOW} == {1, 2}
    without = {one.number for one in TABLE_NOW} - tests.keys()
    assert all(one.gap for one in TABLE_NOW if one.number in without)
    assert tests.keys() <= {one.number for one in TABLE_NOW}
    assert APPLICABLE - len(without) >= TESTED
    assert sum(bool(one.removed) for one in TABLE_NOW) >= SHOWN


def test_a_mark_is_read_from_the_source(tmp_path: Path) -> None:
    source = """
import pytest

@pytest.mark.asvs("1.2.4", "1.2.6")
@pytest.mark.parametrize("x", [1])
async def test_a(x): ...

@pytest.mark.soak
def test_b(): ...

@pytest.mark.asvs("1.2.4")
def test_c(): ...
"""
    ast.parse(source)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test_x.py").write_text(source)
    assert marked_tests(tmp_path) == {
        "1.2.4": ["deep/test_x.py::test_a", "deep/test_x.py::test_c"],
        "1.2.6": ["deep/test_x.py::test_a"],
    }


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.py").touch()
    table = [
        Requirement("1.1.1", 1, "good", ("there.py",)),
        Requirement("1.1.2", 1, "a file that is gone", ("gone.py",)),
        Requirement("1.1.3", 2, "neither", ()),
        Requirement("1.1.4", 2, "both", (), gap="something"),
        Requirement("1.1.5", 2, "removed nothing", (), gap="all", removed="x", failed="y"),
        Requirement("1.1.6", 2, "by another", (), removed="x", failed="test_x.py::test_b"),
    ]
    tests = {number: ["test_x.py::test_a"] for number in NUMBERS}
    assert [problem.partition(":")[0] for problem in problems_of(table, tests, tmp_path)] == [
        "9.9.9",
        "1.1.2",
        "1.1.3",
        "1.1.4",
        "1.1.5",
        "1.1.6",
    ]


def test_the_page_names_code_test_and_gap() -> None:
    table = [
        Requirement("1.1.1", 1, "first", ("src/bennu/a.py",), "", "it", "test_a.py::test_it"),
        Requirement("2.1.1", 2, "second", (), gap="nothing yet"),
    ]
    page = page_of(table, {"1.1.1": ["test_a.py::test_it"]})
    assert "**1 of 2 point to a test" in page
    assert "| 1.1.1 | 1 | first | `a.py` | `test_a.py::test_it` |" in page
    assert "| 2.1.1 | 2 | second |  | **Gap.** nothing yet |" in page
    assert "| 1.1.1 first | it | `test_a.py::test_it` |" in page
    assert PAGE.suffix == ".md"
