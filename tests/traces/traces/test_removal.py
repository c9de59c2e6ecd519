"""Deleting traces; sessions follow. Contract: sections 4 and 7."""

from sqlalchemy import select

from bennu.storage.database import Connection, Database
from bennu.storage.schema import spans, trace_sessions, traces
from bennu.traces.traces.removal import Removed, oldest_traces_between, remove_traces
from fakes.spans import make_span, trace_id
from fakes.stored import Stored


def row_of(connection: Connection, trace: int) -> int:
    statement = select(traces.c.id).where(traces.c.trace_id == trace_id(trace))
    return int(connection.execute(statement).scalar_one())


async def test_the_last_trace_takes_its_session_along(database: Database) -> None:
    stored = Stored(database)
    await stored.add(
        "p",
        make_span(1, trace=1, start_ns=10, end_ns=20, session_id="s"),
        make_span(2, trace=1, start_ns=11, end_ns=12),
        make_span(3, trace=2, start_ns=50, end_ns=60, session_id="s"),
        make_span(4, trace=3, session_id="other"),
        make_span(5, trace=4),
    )
    removed = await database.write(lambda c: remove_traces(c, [row_of(c, 1)]))
    assert removed == Removed(traces=1, spans=2, sessions=0)
    _, session = await stored.rows(trace_sessions)
    assert (session["session_id"], session["start_ns"], session["end_ns"]) == ("s", 50, 60)
    removed = await database.write(lambda c: remove_traces(c, [row_of(c, 2), row_of(c, 4)]))
    assert removed == Removed(traces=2, spans=2, sessions=1)
    assert [row["session_id"] for row in await stored.rows(trace_sessions)] == ["other"]
    assert await stored.count(spans) == 1


async def test_rows_that_are_gone_do_not_count(database: Database) -> None:
    assert await database.write(lambda c: remove_traces(c, [12345])) == Removed()
    assert await database.write(lambda c: remove_traces(c, [])) == Removed()


async def test_many_at_once(database: Database) -> None:
    stored = Stored(database)
    await stored.add("p", *(make_span(n, trace=n, session_id=f"s{n % 7}") for n in range(1, 1201)))
    rows = [row["id"] for row in await stored.rows(traces)]
    assert await database.write(lambda c: remove_traces(c, rows)) == Removed(1200, 1200, 7)


async def test_the_oldest_within_a_time(database: Database) -> None:
    stored = Stored(database)
    given = [(1, 30), (2, 10), (3, 20), (4, 40)]
    await stored.add("p", *(make_span(n, trace=n, start_ns=start) for n, start in given))
    await stored.add("q", make_span(9, trace=9, start_ns=15))
    row = await stored.project("p")

    def numbers(connection: Connection, from_ns: int, before_ns: int, limit: int) -> list[int]:
        rows = oldest_traces_between(connection, row, from_ns, before_ns, limit)
        return [n for wanted in rows for n, _ in given if row_of(connection, n) == wanted]

    assert await database.read(lambda c: numbers(c, 10, 40, 10)) == [2, 3, 1]
    assert await database.read(lambda c: numbers(c, 11, 41, 2)) == [3, 1]
