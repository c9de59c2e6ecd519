"""Many rows per statement. Decision 5."""

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from bennu.storage.bulk import BulkStatement, run_with_rows, savepoint
from bennu.storage.database import Connection, Database
from bennu.storage.schema import meta

PAIRS = BulkStatement(
    "WITH given(number, content) AS ({given}) SELECT number, content FROM given",
    ("bigint", "bytea"),
)


async def test_more_rows_than_one_statement_takes(database: Database) -> None:
    rows = [(number, number.to_bytes(8, "big")) for number in range(40_000)]
    found = await database.read(lambda c: run_with_rows(c, PAIRS, rows))
    assert sorted(found) == rows


async def test_no_rows_no_statement(database: Database) -> None:
    assert await database.read(lambda c: run_with_rows(c, PAIRS, [])) == []


def names(connection: Connection) -> set[str]:
    return set(connection.execute(select(meta.c.name)).scalars())


async def test_what_fails_inside_a_savepoint_is_undone_alone(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(insert(meta).values(name="before", value="1"))
        with pytest.raises(IntegrityError), savepoint(connection):
            connection.execute(insert(meta), [{"name": n, "value": ""} for n in "xx"])
        with savepoint(connection):
            connection.execute(insert(meta).values(name="after", value="1"))

    await database.write(work)
    found = await database.read(names)
    assert {"before", "after"} <= found
    assert "x" not in found


TAKEN = BulkStatement(
    "WITH given(name) AS ({given}) INSERT INTO meta (name, value) SELECT name, '' FROM given",
    ("text",),
)
BROKEN = BulkStatement("WITH given(name) AS ({given}) SELECT nothing FROM given", ("text",))


@pytest.mark.parametrize(("statement", "kind"), [(TAKEN, IntegrityError), (BROKEN, DBAPIError)])
async def test_errors_are_those_of_sqlalchemy(
    database: Database, statement: BulkStatement, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await database.write(lambda c: run_with_rows(c, statement, [("application",)]))
