"""The map from the specification to files and tests is complete and true."""

import re
from pathlib import Path

from tools.check_spec import LAST_LINE, NAMES, problems_of, unknown_names

ROOT = Path(__file__).parents[2]


def test_the_map_is_complete_and_true() -> None:
    assert problems_of((ROOT / "docs/spec.md").read_text("utf-8"), ROOT) == []


def test_a_missing_line_and_a_missing_file_are_found() -> None:
    here = "tests/tools/test_check_spec.py"
    text = f"| 1-2 | x | README.md | nowhere.py |\n| 4-{LAST_LINE} | x | README.md | {here} |"
    assert problems_of(text, ROOT) == ["lines 1: nowhere.py does not exist", "line 3 has no row"]


def test_what_holds_no_test_is_found() -> None:
    for name in ("README.md", "tests/started.py", "tests/vectors/"):
        text = f"| 1-{LAST_LINE} | x | README.md | {name} |"
        assert problems_of(text, ROOT) == [f"lines 1: {name} holds no test"]


def test_every_setting_of_the_specification_is_known() -> None:
    text = (ROOT / NAMES).read_text("utf-8")
    assert unknown_names(text) == []
    assert len(text.splitlines()) == 66
    assert unknown_names("PHOENIX_OAUTH2_{PROVIDER}_NO_SUCH 1\nPHOENIX_NO_SUCH 2 3\n") == [
        "PHOENIX_OAUTH2_{PROVIDER}_NO_SUCH",
        "PHOENIX_NO_SUCH",
    ]


def test_the_list_of_settings_holds_those_of_all_samples() -> None:
    listed = {line.split()[0] for line in (ROOT / NAMES).read_text("utf-8").splitlines()}
    samples = (ROOT / "tests/spec/samples").glob("*.env")
    named = {
        name
        for sample in samples
        for name in re.findall(r"^(PHOENIX_\w+)", sample.read_text("utf-8"), re.MULTILINE)
    }
    assert named <= listed
