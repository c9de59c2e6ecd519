"""The configuration page is what the source says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TOOL = ROOT / "tools" / "generate_configuration.py"


def test_the_page_is_current() -> None:
    answer = subprocess.run(
        [sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_a_stale_page_is_noticed(tmp_path: Path) -> None:
    code = (
        f"import runpy, pathlib, sys; m = runpy.run_path({str(TOOL)!r});"
        f"page = pathlib.Path({str(tmp_path / 'page.md')!r});"
        "main = m['main']; main.__globals__['PAGE'] = page;"
        "missing = main(['--check']); main([]); current = main(['--check']);"
        "page.write_text('old'); sys.exit(int((missing, current, main(['--check'])) != (1, 0, 1)))"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
