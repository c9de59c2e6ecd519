"""Check that each source file has its test file, but for those in mirror_exceptions.toml."""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

EXCEPTIONS = Path("tools/mirror_exceptions.toml")
SOURCE = Path("src/bennu")
_TEST_PATH = re.compile(r"\btests/([\w/]+\.py)")


def test_path_of(source: Path) -> Path:
    """Return where the test of a source file lies; both paths are relative to their roots."""
    return source.parent / f"test_{source.name}"


def problems_of(
    sources: frozenset[Path], tests: frozenset[Path], exceptions: Mapping[str, str]
) -> list[str]:
    """Return sources without test or exception, and exceptions that are no longer true."""
    found = [
        f"{source}: no tests/{test_path_of(source)}, and no reason in {EXCEPTIONS}"
        for source in sorted(sources)
        if test_path_of(source) not in tests and source.as_posix() not in exceptions
    ]
    for name, reason in sorted(exceptions.items()):
        if Path(name) not in sources:
            found.append(f"{EXCEPTIONS}: {name} does not exist")
        elif test_path_of(Path(name)) in tests:
            found.append(f"{EXCEPTIONS}: {name} has its test file now")
        elif not reason.strip():
            found.append(f"{EXCEPTIONS}: {name} has no reason")
        found += [
            f"{EXCEPTIONS}: {name} names tests/{test}, which does not exist"
            for test in _TEST_PATH.findall(reason)
            if Path(test) not in tests
        ]
    return found


def main() -> int:
    """Print every finding; exit status 1 when there is one."""
    sources = frozenset(
        path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path.name != "__init__.py"
    )
    tests = frozenset(path.relative_to("tests") for path in Path("tests").rglob("test_*.py"))
    exceptions = tomllib.loads(EXCEPTIONS.read_text("utf-8"))["exceptions"]
    found = problems_of(sources, tests, exceptions)
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
