"""The map from the specification to files and tests is complete and true."""

from pathlib import Path

from tools.check_spec import LAST_LINE, problems_of

ROOT = Path(__file__).parents[2]


def test_the_map_is_complete_and_true() -> None:
    assert problems_of((ROOT / "docs/spec.md").read_text("utf-8"), ROOT) == []


def test_a_missing_line_and_a_missing_file_are_found() -> None:
    text = f"| 1-2 | x | README.md | nowhere.py |\n| 4-{LAST_LINE} | x | README.md | README.md |"
    assert problems_of(text, ROOT) == ["lines 1: nowhere.py does not exist", "line 3 has no row"]
