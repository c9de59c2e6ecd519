"""The files of finished exports: private, fetched once, gone after their time.

Spec: line 266.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from bennu.kernel.clock import to_microseconds
from bennu.privacy.jobs_store import change_job, export_files_to_drop
from bennu.storage.database import Database

FOLDER_NAME: Final = "exports"
_OWNER_ONLY_DIRECTORY: Final = 0o700


class ExportFiles:
    """A folder of files that jobs name.

    Args:
        database: where the jobs stand.
        folder: of the files; made when it is needed.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder = database, folder

    def path(self, name: str) -> Path:
        """Return where a file lies, making the folder."""
        self._folder.mkdir(mode=_OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
        return self._folder / name

    def begin(self, name: str, holder: str) -> Path:
        """Return where this process writes a file; what killed ones left half written goes.

        Args:
            name: that the file gets at the end.
            holder: of the lease. Its own name keeps a process that lost the lease from the file
                of the one that has it.
        """
        unfinished = self.path(name).with_suffix("")
        for left in self._folder.glob(f"{unfinished.name}.*.part"):
            left.unlink(missing_ok=True)
        return self._folder / f"{unfinished.name}.{holder}.part"

    async def drop_all(self) -> None:
        """Delete every file: what was exported before an erasure must not outlive it."""
        await self._drop(None)

    async def sweep_export_files(self) -> None:
        """Delete the files that were fetched or whose time is over; call it every minute."""
        await self._drop(to_microseconds(self._database.clock.now_utc()))

    async def _drop(self, now: int | None) -> None:
        found = await self._database.read(lambda c: export_files_to_drop(c, now))
        if now is None:
            await asyncio.to_thread(self._unlink_all)
        if not found:
            return
        await asyncio.to_thread(self._unlink, [name for _, name in found])

        def forget(connection: Connection) -> None:
            for row_id, _ in found:
                change_job(connection, row_id, file_name=None)

        await self._database.write(forget)

    def _unlink(self, names: Sequence[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def _unlink_all(self) -> None:
        """Delete what a killed export left half written, too."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
