"""Check docs/spec.md: every line of the specification has a row, every file and test exists.

And every setting that the specification names (tests/spec/names.txt) is one that Bennu knows.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bennu.settings import is_known_setting

LAST_LINE = 296
PAGE = Path("docs/spec.md")
NAMES = Path("tests/spec/names.txt")
_ROW = re.compile(r"\| (\d+)(?:-(\d+))? \| (.+?) \| (.+?) \| (.+?) \|")


def problems_of(text: str, root: Path) -> list[str]:
    """Return what is wrong with the table."""
    found: list[str] = []
    covered: set[int] = set()
    for match in _ROW.finditer(text):
        covered.update(range(int(match[1]), int(match[2] or match[1]) + 1))
        files, tests = match[4].split(", "), match[5].split(", ")
        found += [
            f"lines {match[1]}: {name} does not exist"
            for name in (*files, *tests)
            if not (root / name).exists()
        ]
        found += [f"lines {match[1]}: {name} holds no test" for name in _testless(tests, root)]
    missing = sorted(set(range(1, LAST_LINE + 1)) - covered)
    return found + [f"line {number} has no row" for number in missing]


def _testless(names: list[str], root: Path) -> Iterator[str]:
    for name in names:
        path = root / name
        files = list(path.rglob("test_*.py")) if path.is_dir() else [path]
        if path.exists() and not any(_holds_a_test(file) for file in files):
            yield name


def _holds_a_test(file: Path) -> bool:
    is_test_file = file.name.startswith("test_") and file.suffix == ".py"
    return is_test_file and re.search(r"\bdef test_", file.read_text("utf-8")) is not None


def unknown_names(text: str) -> list[str]:
    """Return the settings of a list that Bennu does not know.

    Args:
        text: one name a line, behind it the lines of the specification that hold it;
            ``{PROVIDER}`` stands for any provider.
    """
    names = [line.split()[0] for line in text.splitlines() if line.strip()]
    return [name for name in names if not is_known_setting(name.replace("{PROVIDER}", "ANY"))]


def main() -> int:
    """Print every finding; exit status 1 when there is one."""
    found = [f"{PAGE}: {line}" for line in problems_of(PAGE.read_text("utf-8"), Path())]
    found += [f"{NAMES}: {name} is no setting" for name in unknown_names(NAMES.read_text("utf-8"))]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
