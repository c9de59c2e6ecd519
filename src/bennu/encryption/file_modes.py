"""Whether files that hold secrets, or the data, can be read by others on the machine.

Spec: lines 17 (kept confidential), 172-177 (threat model).
"""

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_OTHERS: Final = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
#: SQLite keeps what was just written in files beside the database.
_SQLITE_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")


def files_open_to_others(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return those of the files that exist and that group or others may read or write."""
    return tuple(path for path in paths if _is_open_to_others(path))


def sqlite_files(database: Path) -> tuple[Path, ...]:
    """Return the paths of a SQLite database: the file itself and those beside it."""
    return tuple(database.with_name(database.name + suffix) for suffix in _SQLITE_SUFFIXES)


def file_mode_warning(path: Path) -> str:
    """Say in one sentence what is wrong and how to put it right."""
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"{path} can be read or changed by other users (mode {mode:04o}): chmod 600 {path}"


def _is_open_to_others(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & _OTHERS)
