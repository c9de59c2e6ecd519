"""Deleting a span: sums follow, children stay. Contract: sections 4 and 6."""

from typing import Any

import pytest
from sqlalchemy import select

from bennu.storage.database import Database
from bennu.storage.schema import spans, trace_sessions, traces
from bennu.traces.projects.store import project_rows_made
from bennu.traces.spans.model import Span
from bennu.traces.spans.removal import places_of_span, remove_span
from bennu.traces.spans.store import SpanBatch, insert_spans
from fakes.spans import SECOND_NS, make_span, span_id

CHAIN = tuple(
    make_span(
        n,
        parent=n - 1 or None,
        prompt_tokens=10**n,
        completion_tokens=n,
        status_code="ERROR" if n == 2 else "OK",
    )
    for n in (1, 2, 3)
)


class Shelf:
    """Adds and removes spans of one project, and says what is left."""

    def __init__(self, database: Database, project_row: int) -> None:
        self.database = database
        self.project_row = project_row

    async def add(self, *given: Span) -> None:
        batch = SpanBatch(self.project_row, "", given)
        await self.database.write(lambda c: insert_spans(c, [batch]))

    async def remove(self, number: int) -> bool:
        def work(connection: Any) -> bool:
            (place,) = places_of_span(connection, span_id=span_id(number))
            return remove_span(connection, place)

        return await self.database.write(work)

    async def cumulative_prompt_tokens(self) -> dict[int, int]:
        rows = await self.database.read(
            lambda c: c.execute(select(spans.c.span_id, spans.c.cumulative_prompt_tokens)).all()
        )
        return {int.from_bytes(row[0], "big"): row[1] for row in rows}

    async def traces(self) -> list[dict[str, Any]]:
        return await self.database.read(
            lambda c: [dict(row) for row in c.execute(select(traces)).mappings()]
        )


@pytest.fixture
async def shelf(database: Database) -> Shelf:
    rows = await database.write(lambda c: project_rows_made(c, ["p"], 1))
    return Shelf(database, rows["p"])


async def test_ancestors_lose_the_whole_branch_and_get_it_back(shelf: Shelf) -> None:
    await shelf.add(*CHAIN)
    assert await shelf.remove(2)
    assert await shelf.cumulative_prompt_tokens() == {1: 10, 3: 1000}
    await shelf.add(CHAIN[1])
    assert await shelf.cumulative_prompt_tokens() == {1: 1110, 2: 1100, 3: 1000}


async def test_the_trace_follows(shelf: Shelf) -> None:
    await shelf.add(*CHAIN)
    await shelf.remove(3)
    await shelf.remove(2)
    (trace,) = await shelf.traces()
    assert (trace["span_count"], trace["error_count"]) == (1, 0)
    assert (trace["prompt_tokens"], trace["completion_tokens"]) == (10, 1)
    assert (trace["start_ns"], trace["end_ns"]) == (1 * SECOND_NS, 2 * SECOND_NS)


async def test_an_empty_trace_goes(shelf: Shelf) -> None:
    await shelf.add(make_span(1), make_span(2, trace=2))
    await shelf.remove(1)
    assert [trace["span_count"] for trace in await shelf.traces()] == [1]
    await shelf.remove(2)
    assert await shelf.traces() == []


async def test_a_ring_loses_one(shelf: Shelf) -> None:
    await shelf.add(make_span(1, parent=2, prompt_tokens=1), make_span(2, parent=1))
    assert await shelf.remove(1)
    assert list(await shelf.cumulative_prompt_tokens()) == [2]


async def test_what_is_gone_is_not_there(shelf: Shelf) -> None:
    await shelf.add(make_span(1))
    (place,) = await shelf.database.read(lambda c: places_of_span(c, span_id=span_id(1)))
    assert await shelf.database.write(lambda c: remove_span(c, place))
    assert not await shelf.database.write(lambda c: remove_span(c, place))


async def test_places_by_row_by_id_and_by_what_one_may_see(shelf: Shelf) -> None:
    rows = await shelf.database.write(lambda c: project_rows_made(c, ["q"], 1))
    await shelf.add(make_span(1))
    await Shelf(shelf.database, rows["q"]).add(make_span(1))
    both = await shelf.database.read(lambda c: places_of_span(c, span_id=span_id(1)))
    assert {place.project_row for place in both} == {shelf.project_row, rows["q"]}
    seen = await shelf.database.read(
        lambda c: places_of_span(c, span_id=span_id(1), visible_project_rows=frozenset({rows["q"]}))
    )
    assert [place.project_row for place in seen] == [rows["q"]]
    (one,) = await shelf.database.read(lambda c: places_of_span(c, row_id=seen[0].row_id))
    assert one == seen[0]


async def test_the_last_span_takes_trace_and_session_along(shelf: Shelf) -> None:
    await shelf.add(make_span(1, session_id="s"), make_span(2, trace=2, session_id="s"))

    async def sessions() -> list[tuple[int, int]]:
        columns = (trace_sessions.c.start_ns, trace_sessions.c.end_ns)
        return await shelf.database.read(
            lambda c: [(row[0], row[1]) for row in c.execute(select(*columns))]
        )

    assert await sessions() == [(SECOND_NS, 3 * SECOND_NS)]
    await shelf.remove(1)
    assert await sessions() == [(2 * SECOND_NS, 3 * SECOND_NS)]
    await shelf.remove(2)
    assert await sessions() == []
