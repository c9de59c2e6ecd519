"""Files of exports, finished and given up. What they hold: tests/spec/test_12_privacy.py."""

import gc
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bennu.privacy.export_archive import ExportArchive
from bennu.privacy.export_records import RECORD_TYPES, SpanRecord

SPAN = SpanRecord("id", "p", "name", {}, "CHAIN", None, "s", "e", "OK", "", {"a": "b"}, [])


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What went wrong where nobody could be told."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", found.append)
    return found


def test_a_finished_archive_says_what_it_holds(tmp_path: Path) -> None:
    archive = ExportArchive(tmp_path / "export.zip")
    archive.begin("spans")
    archive.add([SPAN])
    archive.begin("spans")
    archive.add([SPAN])
    archive.finish({"export_id": "job"})
    with zipfile.ZipFile(tmp_path / "export.zip") as found:
        content = found.read("spans.ndjson")
        manifest = json.loads(found.read("manifest.json"))
    digest = hashlib.sha256(content).hexdigest()
    assert manifest["files"] == [{"name": "spans.ndjson", "records": 2, "sha256": digest}]
    assert (manifest["export_id"], content.count(b"\n")) == ("job", 2)
    assert (tmp_path / "export.zip").stat().st_mode & 0o777 == 0o600


def test_a_whole_one_can_be_read(tmp_path: Path) -> None:
    archive = ExportArchive(tmp_path / "a.zip")
    for name in RECORD_TYPES:
        archive.begin(name)
        archive.add([])
    archive.finish({"subject": "x"})
    with zipfile.ZipFile(tmp_path / "a.zip") as written:
        assert written.testzip() is None
        assert {"manifest.json", *(f"{name}.ndjson" for name in RECORD_TYPES)} <= set(
            written.namelist()
        )


@pytest.mark.parametrize("names", [(), ("spans",), ("profile", "spans")])
def test_an_archive_that_is_given_up_leaves_nothing_open(
    tmp_path: Path, unraisable: list[Any], names: tuple[str, ...]
) -> None:
    archive = ExportArchive(tmp_path / "export.zip")
    for name in names:
        archive.begin(name)
        archive.add([])
    archive.give_up()
    archive.give_up()
    del archive
    gc.collect()
    assert unraisable == []


def add_and_finish(archive: ExportArchive, record: SpanRecord) -> None:
    archive.add([record])
    archive.finish({})


@pytest.mark.parametrize("size_bytes", [100, 100_000])
def test_an_archive_is_given_up_on_a_full_disk(unraisable: list[Any], size_bytes: int) -> None:
    archive = ExportArchive(Path("/dev/full"))
    archive.begin("spans")
    text = hashlib.shake_128(b"seed").hexdigest(size_bytes)
    record = SpanRecord("id", "p", text, {}, "CHAIN", None, "s", "e", "OK", "", {}, [])
    with pytest.raises(OSError, match="No space left"):
        add_and_finish(archive, record)
    archive.give_up()
    del archive
    gc.collect()
    assert unraisable == []
