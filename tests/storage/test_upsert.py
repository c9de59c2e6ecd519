from sqlalchemy import Connection, select

from bennu.storage.database import Database
from bennu.storage.schema import meta
from bennu.storage.upsert import insert_unless_present, upsert_row


def _values(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(meta.c.name, meta.c.value).where(meta.c.name != "application"))
    return {row.name: row.value for row in rows}


async def test_upsert_inserts_then_updates(database: Database) -> None:
    for value in ("one", "two"):
        await database.write(lambda c, v=value: upsert_row(c, meta, {"name": "x"}, {"value": v}))
    assert await database.read(_values) == {"x": "two"}


async def test_insert_leaves_existing_rows_alone(database: Database) -> None:
    rows = [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
    await database.write(lambda c: insert_unless_present(c, meta, rows[:1]))
    later = [{"name": "a", "value": "changed"}, rows[1]]
    await database.write(lambda c: insert_unless_present(c, meta, later))
    assert await database.read(_values) == {"a": "1", "b": "2"}


async def test_no_rows_are_no_statement(database: Database) -> None:
    await database.write(lambda c: insert_unless_present(c, meta, []))
    assert await database.read(_values) == {}
