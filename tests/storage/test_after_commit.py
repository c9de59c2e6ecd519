"""What is to happen after a commit happens then, in order, and never after a rollback."""

from functools import partial

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from bennu.kernel.errors import AppError
from bennu.storage.after_commit import after_commit, with_actions
from bennu.storage.database import Database
from bennu.storage.schema import meta

pytestmark = pytest.mark.anyio


def planned(connection: Connection, done: list[str], *names: str) -> None:
    for name in names:
        after_commit(connection, partial(done.append, name))


async def test_actions_run_in_order_once_the_change_can_be_read(database: Database) -> None:
    done: list[str] = []

    def work(connection: Connection) -> int:
        planned(connection, done, "first", "second")
        connection.execute(insert(meta).values(name="x", value="y"))
        assert done == []
        return 7

    assert await database.write(work) == 7
    assert done == ["first", "second"]
    await database.write(lambda _: None)
    assert done == ["first", "second"]


async def test_a_rollback_forgets_them_for_good(database: Database) -> None:
    done: list[str] = []

    def fails(connection: Connection) -> None:
        planned(connection, done, "never")
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        await database.write(fails)
    # The connection is used again; what an earlier transaction left there is not its business.
    await database.write(lambda c: planned(c, done, "now"))
    assert done == ["now"]


async def test_a_commit_that_fails_runs_none(database: Database) -> None:
    """A deferred rule is broken only when the transaction ends."""
    done: list[str] = []
    reference = "INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED"

    def tables(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(text(f"CREATE TABLE child (parent {reference})"))

    def breaks(connection: Connection) -> None:
        planned(connection, done, "never")
        connection.execute(text("INSERT INTO child VALUES (1)"))

    await database.write(tables)
    with pytest.raises((AppError, DBAPIError)):
        await database.write(breaks)
    assert done == []


async def test_the_wrapper_gives_result_and_actions(database: Database) -> None:
    done: list[str] = []

    def look(connection: Connection) -> None:
        def work(inner: Connection) -> str:
            planned(inner, done, "one")
            return "result"

        result, actions = with_actions(work)(connection)
        assert (result, len(actions), done) == ("result", 1, [])
        again, none = with_actions(lambda _: "again")(connection)
        assert (again, none) == ("again", ())

    await database.read(look)
