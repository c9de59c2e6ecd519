"""Write a generated page, or find out whether it is stale."""

import sys
from collections.abc import Sequence
from pathlib import Path


def write_or_compare(page: Path, text: str, arguments: Sequence[str]) -> int:
    """Write the page, or with ``--check`` only compare it.

    Returns:
        The exit status: 1 when the page is not what the source says.
    """
    if list(arguments) == ["--check"]:
        is_current = page.is_file() and page.read_text("utf-8") == text
        if not is_current:
            sys.stderr.write(f"{page} is stale: run `make docs`\n")
        return 0 if is_current else 1
    page.write_text(text, "utf-8")
    return 0
