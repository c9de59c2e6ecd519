"""The samples of a page of the docs, so that a test can run them as they are printed.

A sample that is not run is announced by ``<!-- not run: why -->`` on the line before it.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
#: Every kind of sample, by the word behind the fence.
LANGUAGES = frozenset(
    {"sh", "python", "env", "json", "yaml", "text", "nginx", "caddyfile", "sql", "dockerfile"}
)
_NOT_RUN = re.compile(r"<!-- not run: (?P<why>.+?) -->\s*", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block: its text, why it is not run ("" when it is), its language and its line."""

    text: str
    not_run: str
    language: str = "sh"
    line: int = 0

    def run(self, folder: Path, env: Mapping[str, str]) -> str:
        """Run it with the first failure as its end; return what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.text],
            cwd=folder,
            env=dict(env),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{self.text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def samples_of(text: str) -> list[Block]:
    """Return all samples of a page, in order; indented ones have no language, which is told."""
    found, before = [], None
    for token in MarkdownIt().parse(text):
        if token.type in {"fence", "code_block"}:
            why = _NOT_RUN.fullmatch(before.content) if before is not None else None
            line = token.map[0] + 1 if token.map else 0
            found.append(Block(token.content, why["why"] if why else "", token.info.strip(), line))
        before = token if token.type == "html_block" else None
    return found


def blocks_of(page: str) -> list[Block]:
    """Return the shell blocks of a page below the root of the repository, in order."""
    return [each for each in samples_of((ROOT / page).read_text("utf-8")) if each.language == "sh"]
