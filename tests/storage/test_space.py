"""A file shrinks after deletions, a few pages at a time. Source: PRAGMA incremental_vacuum."""

import pytest
from sqlalchemy import Connection, text

from bennu.storage.database import Database
from bennu.storage.settings import StorageSettings
from bennu.storage.space import give_back_pages

pytestmark = pytest.mark.anyio


async def test_empty_pages_go_back_to_the_file_system(
    database: Database, storage_settings: StorageSettings
) -> None:
    def fill(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE filler (content TEXT)"))
        for _ in range(200):
            connection.execute(text("INSERT INTO filler VALUES (:c)"), {"c": "x" * 20_000})

    await database.write(fill)
    await database.write(lambda c: c.execute(text("DELETE FROM filler")))
    steps = 1
    while await database.write(lambda c: give_back_pages(c, 50)):
        steps += 1
    path = storage_settings.sqlite_path
    if path is None:
        assert steps == 1
        return
    assert steps > 5
    await database.stop()
    assert path.stat().st_size < 1_000_000
