"""The measurement runs and says what it measured."""

import subprocess
import sys


def test_it_measures_both_ways() -> None:
    few = ("--sign-ins", "2", "--exports", "2", "--records", "1000")
    command = [sys.executable, "tools/bench_audit.py", *few]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "| a sign-in |" in said
    assert "| an export of 50 spans |" in said
    assert "Verifying 1,000 records" in said
    assert "(whole: True)" in said
