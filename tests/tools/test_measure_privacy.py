"""The measurement runs and says what it measured; the figures stand in docs/compliance/gdpr.md."""

import re
import subprocess
import sys

import pytest


@pytest.mark.soak
@pytest.mark.parametrize("spans", [200_000, 1_000_000])
def test_exports_keep_memory_bounded(spans: int) -> None:
    command = [sys.executable, "tools/measure_privacy.py", "--spans", str(spans), "--no-sweep"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    grown = [float(text) for text in re.findall(r"\+(-?[\d.]+) MB", said)]
    assert f"person: {spans} spans" in said
    assert f"project: {spans} lines" in said
    assert max(grown) < 100


@pytest.mark.soak
def test_a_sweep_of_everything_beside_ingest() -> None:
    command = [sys.executable, "tools/measure_privacy.py", "--spans", "20000", "--no-exports"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "'spans': 20000" in said
    assert "ingest, during the sweep: p50" in said
