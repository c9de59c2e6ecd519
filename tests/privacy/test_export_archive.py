"""The file of an export, as it is written."""

import gc
import zipfile
from pathlib import Path

from bennu.privacy.export_archive import ExportArchive
from bennu.privacy.export_records import RECORD_TYPES


def test_a_whole_one_can_be_read(tmp_path: Path) -> None:
    archive = ExportArchive(tmp_path / "a.zip")
    for name in RECORD_TYPES:
        archive.begin(name)
        archive.add([])
    archive.finish({"subject": "x"})
    assert (tmp_path / "a.zip").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(tmp_path / "a.zip") as written:
        assert written.testzip() is None
        assert {"manifest.json", *(f"{name}.ndjson" for name in RECORD_TYPES)} <= set(
            written.namelist()
        )


def test_one_that_is_given_up_leaves_nothing_to_be_written(tmp_path: Path) -> None:
    """A warning of what is collected later is an error of the tests."""
    for begun in (0, 1, 2):
        archive = ExportArchive(tmp_path / "a.zip")
        for name in list(RECORD_TYPES)[:begun]:
            archive.begin(name)
            archive.add([])
        archive.give_up()
        del archive
        gc.collect()
