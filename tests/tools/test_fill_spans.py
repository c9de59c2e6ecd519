"""The filler for measurements makes readable traces, the same ones for the same seed."""

import sqlite3
import subprocess
import sys
from pathlib import Path


def fill(path: Path, *more: str) -> str:
    command = [sys.executable, "tools/fill_spans.py", "--sqlite", str(path), *more]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_fills_a_new_database_once(tmp_path: Path) -> None:
    path = tmp_path / "full.db"
    assert "600 spans" in fill(path, "--spans", "600", "--project", "full")
    fill(path, "--spans", "600", "--project", "full")
    database = sqlite3.connect(path)
    counts = [
        database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        for table in ("spans", "traces", "trace_sessions")
    ]
    kinds = {row[0] for row in database.execute("SELECT DISTINCT span_kind FROM spans")}
    database.close()
    assert counts == [600, 120, 40]
    assert kinds == {"CHAIN", "RETRIEVER", "LLM", "TOOL"}
