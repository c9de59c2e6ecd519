"""The shell blocks of a page of the docs, so that a test can run them as they are printed.

A block that is not run is announced by ``<!-- not run: why -->`` on the line before it.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]*) -->\n)?^```sh\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """One block: its text, and why it is not run ("" when it is)."""

    text: str
    not_run: str

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


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page below the root of the repository, in order."""
    text = (Path(__file__).parent.parent / page).read_text()
    found = [Block(m["text"], m["why"] or "") for m in _BLOCK.finditer(text)]
    assert len(found) == text.count("```sh")
    return found
