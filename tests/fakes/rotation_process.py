"""Rotates a database in a process of its own, so that a test can kill it.

Reads one JSON document: where the database is, and the keys; prints a line per batch.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.rotate import Rotation
from bennu.kernel.clock import SystemClock
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.settings import PostgresSettings, StorageSettings


def described(settings: StorageSettings) -> dict[str, Any]:
    """Put settings into what JSON can hold; ``settings_from`` is the way back."""
    postgres = settings.postgres
    return {
        "working_dir": str(settings.working_dir),
        "sqlite_path": None if settings.sqlite_path is None else str(settings.sqlite_path),
        "postgres": postgres
        and {
            "host": postgres.host,
            "port": postgres.port,
            "user": postgres.user,
            "password": None if postgres.password is None else postgres.password.reveal(),
            "database": postgres.database,
            "sslmode": "require",
        },
    }


def settings_from(told: dict[str, Any]) -> StorageSettings:
    postgres = told["postgres"]
    if postgres is None:
        path = Path(told["sqlite_path"])
        return StorageSettings(working_dir=Path(told["working_dir"]), sqlite_path=path)
    password = Secret(postgres.pop("password"))
    return StorageSettings(
        working_dir=Path(told["working_dir"]),
        dialect="postgresql",
        postgres=PostgresSettings(password=password, **postgres),
    )


async def rotate_as_told(told: dict[str, Any]) -> None:
    database = Database(settings_from(told["settings"]), SystemClock())
    keyring = Keyring(told["current"].encode(), [told["previous"].encode()])

    def progress(done: int, total: int) -> None:
        sys.stdout.write(f"{done} {total}\n")
        sys.stdout.flush()

    await database.start()
    try:
        rotation = Rotation(
            database,
            Cipher(keyring),
            progress,
            batch_rows=told["batch_rows"],
            pause_seconds=told["pause_seconds"],
        )
        await rotation.run(lambda connection, report: None)  # noqa: ARG005 - no audit trail here
    finally:
        await database.stop()


if __name__ == "__main__":
    asyncio.run(rotate_as_told(json.load(sys.stdin)))
