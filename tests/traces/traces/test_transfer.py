"""Moving traces to another project. Contract: section 7."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.util import await_only

from bennu.storage.database import Database
from bennu.storage.schema import (
    document_annotations,
    session_annotations,
    span_annotations,
    spans,
    trace_annotations,
    trace_sessions,
    traces,
)
from bennu.traces.traces.transfer import TakenIdsError, move_traces
from fakes.spans import make_span, trace_id
from fakes.stored import Stored


@pytest.fixture
async def stored(database: Database) -> Stored:
    stored = Stored(database)
    await stored.add(
        "from",
        make_span(1, trace=1, start_ns=10, end_ns=20, session_id="s"),
        make_span(2, trace=1, parent=1, start_ns=11, end_ns=12),
        make_span(3, trace=2, start_ns=50, end_ns=60, session_id="s"),
    )
    return stored


async def move(stored: Stored, numbers: Iterable[int], to: str = "to") -> None:
    ids = [trace_id(number) for number in numbers]
    row = await stored.project(to)
    source = await stored.project("from")
    await stored.database.write(
        lambda c: move_traces(
            c,
            c.execute(
                select(traces.c.id).where(traces.c.trace_id.in_(ids), traces.c.project_id == source)
            )
            .scalars()
            .all(),
            row,
        )
    )


async def places(stored: Stored) -> dict[int, tuple[str, str | None]]:
    """Return trace number to names of project and session."""
    names = {await stored.project(name): name for name in ("from", "to")}
    sessions = {row["id"]: row for row in await stored.rows(trace_sessions)}
    found: dict[int, tuple[str, str | None]] = {}
    for row in await stored.rows(traces):
        session = sessions.get(row["session_id"])
        if session is not None:
            assert session["project_id"] == row["project_id"]
        number = int.from_bytes(row["trace_id"], "big")
        found[number] = (names[row["project_id"]], session and session["session_id"])
    return found


async def annotate(stored: Stored, table: Any, **values: Any) -> None:
    row = {
        "project_id": await stored.project("from"),
        "name": "n",
        "identifier": "",
        "annotator_kind": "HUMAN",
        "metadata": "{}",
        "source": "API",
        "sender": "",
        "created_at": 1,
        "updated_at": 1,
        **values,
    }
    await stored.database.write(lambda c: c.execute(insert(table), row))


async def test_a_part_of_a_session_gets_a_session_of_its_own(stored: Stored) -> None:
    await move(stored, [1])
    assert await places(stored) == {1: ("to", "s"), 2: ("from", "s")}
    ranges = {(row["start_ns"], row["end_ns"]) for row in await stored.rows(trace_sessions)}
    assert ranges == {(10, 20), (50, 60)}
    to = await stored.project("to")
    assert [row["project_id"] == to for row in await stored.rows(spans)] == [True, True, False]
    await move(stored, [2])
    assert await places(stored) == {1: ("to", "s"), 2: ("to", "s")}
    (session,) = await stored.rows(trace_sessions)
    assert (session["start_ns"], session["end_ns"]) == (10, 60)


async def test_a_whole_session_goes_along_with_what_is_said_about_it(stored: Stored) -> None:
    (session,) = await stored.rows(trace_sessions)
    await annotate(stored, session_annotations, session_row=session["id"])
    await annotate(stored, trace_annotations, trace_row=1)
    await annotate(stored, span_annotations, span_row=1)
    await annotate(stored, document_annotations, span_row=2, document_position=0)
    await move(stored, [1, 2])
    assert await places(stored) == {1: ("to", "s"), 2: ("to", "s")}
    to = await stored.project("to")
    for table in (session_annotations, trace_annotations, span_annotations, document_annotations):
        (row,) = await stored.rows(table)
        assert row["project_id"] == to, table.name


async def test_a_session_that_exists_there_takes_everything_in(stored: Stored) -> None:
    await stored.add("to", make_span(9, trace=9, start_ns=5, end_ns=6, session_id="s"))
    here, there = await stored.rows(trace_sessions)
    await annotate(stored, session_annotations, session_row=here["id"])
    await annotate(stored, session_annotations, session_row=here["id"], name="both", label="here")
    to = {"session_row": there["id"], "project_id": await stored.project("to")}
    await annotate(stored, session_annotations, name="both", label="there", **to)
    await move(stored, [1, 2])
    (session,) = await stored.rows(trace_sessions)
    assert (session["id"], session["start_ns"], session["end_ns"]) == (there["id"], 5, 60)
    left = await stored.rows(session_annotations)
    assert [(row["name"], row["label"]) for row in left] == [("n", None), ("both", "there")]


@pytest.mark.parametrize("taken", [make_span(9, trace=1), make_span(2, trace=9)])
async def test_ids_that_are_taken_move_nothing(stored: Stored, taken: Any) -> None:
    await stored.add("to", taken)
    before = await stored.rows(traces)
    with pytest.raises(TakenIdsError):
        await move(stored, [1, 2])
    assert await stored.rows(traces) == before


async def test_a_session_that_a_trace_gains_meanwhile_moves_too(stored: Stored) -> None:
    await stored.add("from", make_span(9, trace=9, start_ns=1, end_ns=2))
    database = stored.database
    if database.dialect != "postgresql":
        pytest.skip("SQLite has one writer")
    with_session = update(traces).where(traces.c.trace_id == trace_id(9)).values(session_id=1)
    held, go_on = asyncio.Event(), asyncio.Event()

    def gain(connection: Connection) -> None:
        connection.execute(with_session)
        held.set()
        await_only(go_on.wait())

    waiting = text(
        "SELECT 1 FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    gaining = asyncio.create_task(database.write(gain))
    await held.wait()
    moving = asyncio.create_task(move(stored, [9]))
    for _ in range(1_000):
        if await database.read(lambda c: c.execute(waiting).all()):
            break
        await asyncio.sleep(0.01)
    go_on.set()
    await asyncio.gather(gaining, moving)
    assert await places(stored) == {1: ("from", "s"), 2: ("from", "s"), 9: ("to", "s")}
