"""The measurement runs and says what it measured; the figures stand in docs/performance.md."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from peers.json_schema import validator_of

SAMPLE = 2_000


def check_sample(path: Path, spans: int) -> None:
    """Check one span of many against the schema in the archive, and that all are there."""
    with zipfile.ZipFile(path) as archive:
        validator = validator_of(json.loads(archive.read("schemas/spans.json")))
        count = 0
        with archive.open("spans.ndjson") as lines:
            for count, line in enumerate(lines, start=1):
                if count % (spans // SAMPLE) == 0:
                    validator.validate(json.loads(line))
    assert count == spans


@pytest.mark.soak
@pytest.mark.parametrize("spans", [200_000, 1_000_000])
def test_exports_keep_memory_bounded(spans: int, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    command = [sys.executable, "tools/measure_privacy.py", "--spans", str(spans), "--no-sweep"]
    command += ["--archive", str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sys.stdout.write(said)
    grown = [float(text) for text in re.findall(r"\+(-?[\d.]+) MB", said)]
    assert f"person: {spans} spans" in said
    assert f"project: {spans} lines" in said
    assert max(grown) < 100
    check_sample(path, spans)


@pytest.mark.soak
def test_a_sweep_of_everything_beside_ingest() -> None:
    command = [sys.executable, "tools/measure_privacy.py", "--spans", "20000", "--no-exports"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "'spans': 20000" in said
    assert re.search(r"normal p99 [\d.]+ ms, during the sweep [\d.]+ ms: \w+ the bound", said)
