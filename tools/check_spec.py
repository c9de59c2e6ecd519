"""Check docs/spec.md: every line of the specification has a row, every file and test exists."""

import re
import sys
from pathlib import Path

LAST_LINE = 296
PAGE = Path("docs/spec.md")
_ROW = re.compile(r"\| (\d+)(?:-(\d+))? \| (.+?) \| (.+?) \| (.+?) \|")


def problems_of(text: str, root: Path) -> list[str]:
    """Return what is wrong with the table."""
    found: list[str] = []
    covered: set[int] = set()
    for match in _ROW.finditer(text):
        first, last = int(match[1]), int(match[2] or match[1])
        covered.update(range(first, last + 1))
        found += [
            f"lines {match[1]}: {name} does not exist"
            for name in (*match[4].split(", "), *match[5].split(", "))
            if not (root / name).exists()
        ]
    missing = sorted(set(range(1, LAST_LINE + 1)) - covered)
    return found + [f"line {number} has no row" for number in missing]


def main() -> int:
    """Print every finding; exit status 1 when there is one."""
    found = problems_of(PAGE.read_text("utf-8"), Path())
    sys.stdout.writelines(f"{PAGE}: {line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
