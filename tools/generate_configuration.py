"""Write docs/configuration.md from the declared settings; ``--check`` only compares.

The page has no other source: a setting is explained where it is read.
"""

import sys
from pathlib import Path
from typing import Final

from bennu.kernel.env import Variable
from bennu.settings import SECTIONS

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

_INTRODUCTION: Final = """\
# Configuration

This page is generated from the source by `make docs`; `bennu config list` prints the same.

Settings come from the process environment and from a file given with `--env-file FILE`; the
environment wins. `bennu config check --env-file FILE` checks everything without a start and prints
every mistake, not only the first: the name, what was read (secrets masked), what is allowed, and
the line that it came from.

An env file holds lines `NAME = value`:

- Blanks around `=` and around the value do not count; `export NAME=value` is fine.
- A value may stand in single or double quotes and then go over several lines. A `#` behind a blank
  begins a comment. In double quotes, `\\"`, `\\\\`, `\\$` and `` \\` `` stand for the character
  behind the backslash.
- `${OTHER}` is replaced by an earlier line or a variable of the process environment; one that is
  not defined is a mistake. Nothing is replaced in single quotes, and `$OTHER` without braces stays
  as it is.
- `$(command)` is a mistake: nothing is run from a file. `bennu init` writes a file with a random
  secret.
- One pair of quotes around a value of the process environment is taken off, because
  `docker run --env-file` leaves it on.

Switches are `true` or `false`. A variable marked **secret** is never shown, and can be given as a
file: `NAME_FILE=/path` instead of `NAME`; both at once are a mistake. A name that begins with
`PHOENIX_` and is not known gives a warning with the nearest known name.

The default folder is `~/.bennu`, where the reference uses `~/.phoenix`, so that a database of
Arize Phoenix is never touched by mistake.

Numbers in the column *spec* are lines of the specification.
"""


def configuration_page() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION]
    for heading, variables in SECTIONS:
        parts.append(f"\n## {heading}\n")
        parts.append("| name | type | default | meaning | spec |")
        parts.append("| --- | --- | --- | --- | --- |")
        parts.extend(_row(variable) for variable in variables)
    return "\n".join(parts) + "\n"


def _row(variable: Variable) -> str:
    twin = f"<br>`{variable.name}_FILE`" if variable.secret else ""
    default = f"`{_cell(variable.default)}`" if variable.default else ""
    meaning = _cell(variable.meaning) + (" **secret**" if variable.secret else "")
    line = "" if variable.spec_line is None else str(variable.spec_line)
    return f"| `{variable.name}`{twin} | {_cell(variable.kind)} | {default} | {meaning} | {line} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; 1 when it is stale."""
    page = configuration_page()
    if arguments == ["--check"]:
        is_current = PAGE.is_file() and PAGE.read_text("utf-8") == page
        if not is_current:
            sys.stderr.write(f"{PAGE} is stale: run `make docs`\n")
        return 0 if is_current else 1
    PAGE.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
