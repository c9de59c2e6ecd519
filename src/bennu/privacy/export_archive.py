"""Writes an export: a ZIP of NDJSON files with their JSON Schemas and a manifest of sums.

Spec: line 266.
"""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bennu.privacy.export_records import RECORD_TYPES, SCHEMA_VERSION, Record, schema_of

FORMAT: Final = "bennu-export"
_OWNER_ONLY: Final = 0o600


class ExportArchive:
    """One file under way; written in threads, a page at a time.

    Args:
        path: of the file; one that is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, _OWNER_ONLY), "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._entry: Any = None
        self._name = ""
        self._hash = hashlib.sha256()
        #: Number of records by name of their file.
        self.counts: dict[str, int] = {}
        self._sums: dict[str, str] = {}

    def begin(self, name: str) -> None:
        """Begin the file of a kind of records, unless it was begun."""
        if name == self._name:
            return
        self._end_entry()
        self._name, self._hash = name, hashlib.sha256()
        self.counts[name] = 0
        self._entry = self._zip.open(f"{name}.ndjson", "w", force_zip64=True)

    def add(self, records: Sequence[Record]) -> None:
        """Add records to the file that was begun."""
        text = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        self._hash.update(text)
        self._entry.write(text)
        self.counts[self._name] += len(records)

    def finish(self, about: dict[str, Any]) -> None:
        """Write schemas and manifest, and everything to the disk."""
        self._end_entry()
        for name in RECORD_TYPES:
            text = msgspec.json.format(msgspec.json.encode(schema_of(name)), indent=1)
            self._zip.writestr(f"schemas/{name}.json", text)
        files = [
            {"name": f"{name}.ndjson", "records": count, "sha256": self._sums[name]}
            for name, count in self.counts.items()
        ]
        manifest = {"format": FORMAT, "schema_version": SCHEMA_VERSION, **about, "files": files}
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self._zip.writestr("manifest.json", text)
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def give_up(self) -> None:
        """Close what is half written, as far as that can be done.

        Why safe: nobody gets this file, so what cannot be written to it any more is not missed.
        """
        entry, self._entry = self._entry, None
        for part in (entry, self._zip, self._file):
            if part is not None:
                with contextlib.suppress(OSError, ValueError):
                    part.close()

    def _end_entry(self) -> None:
        if self._entry is not None:
            self._entry.close()
            self._sums[self._name] = self._hash.hexdigest()
            self._entry = None
