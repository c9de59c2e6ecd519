"""Lists of traces: every filter, order and page, on both databases. Contract: section 7."""

import pytest

from bennu.storage.database import Database
from bennu.traces.spans import driving
from bennu.traces.spans.cursors import Position
from bennu.traces.traces.model import StoredTrace, TraceFilter, TraceOrder
from bennu.traces.traces.query import page_of_traces, rows_of_sessions, spans_of_traces
from fakes.spans import make_span, trace_id
from fakes.stored import Stored

#: trace, start, end, status: latencies 10, 30, 20, 20, 5.
GIVEN = (
    (1, 100, 110, "OK"),
    (2, 50, 80, "ERROR"),
    (3, 70, 90, "OK"),
    (4, 60, 80, "UNSET"),
    (5, 70, 75, "ERROR"),
)
LATENCY = TraceOrder(by_latency=True)


class Reader:
    """Reads pages of one project; traces are told by number."""

    def __init__(self, stored: Stored, project_row: int) -> None:
        self.stored, self.project_row = stored, project_row

    async def traces(
        self,
        wanted: TraceFilter = TraceFilter(),  # noqa: B008 - frozen
        order: TraceOrder = TraceOrder(),  # noqa: B008 - frozen
        start: Position | None = None,
        limit: int = 100,
    ) -> list[StoredTrace]:
        return await self.stored.database.read(
            lambda c: page_of_traces(c, self.project_row, wanted, order, start, limit)
        )

    async def numbers(
        self,
        wanted: TraceFilter = TraceFilter(),  # noqa: B008 - frozen
        order: TraceOrder = TraceOrder(),  # noqa: B008 - frozen
    ) -> list[int]:
        found = await self.traces(wanted, order)
        return [int.from_bytes(trace.trace_id, "big") for trace in found]


@pytest.fixture
async def reader(database: Database) -> Reader:
    stored = Stored(database)
    await stored.add("other", make_span(99, trace=1, start_ns=1, end_ns=500, session_id="s"))
    for trace, start, end, status in GIVEN:
        session = "s" if trace in {2, 3} else None
        await stored.add(
            "p",
            make_span(
                trace,
                trace=trace,
                start_ns=start,
                end_ns=end,
                status_code=status,
                session_id=session,
                prompt_tokens=trace,
                completion_tokens=1,
            ),
        )
    return Reader(stored, await stored.project("p"))


async def test_orders(reader: Reader) -> None:
    assert await reader.numbers() == [1, 5, 3, 4, 2]
    assert await reader.numbers(order=TraceOrder(ascending=True)) == [2, 4, 3, 5, 1]
    assert await reader.numbers(order=LATENCY) == [2, 4, 3, 1, 5]
    ascending = TraceOrder(by_latency=True, ascending=True)
    assert await reader.numbers(order=ascending) == [5, 1, 3, 4, 2]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (TraceFilter(has_error=True), [5, 2]),
        (TraceFilter(has_error=False), [1, 3, 4]),
        (TraceFilter(from_ns=70), [1, 5, 3]),
        (TraceFilter(before_ns=70), [4, 2]),
        (TraceFilter(from_ns=60, before_ns=100), [5, 3, 4]),
        (TraceFilter(min_latency_ns=20), [3, 4, 2]),
        (TraceFilter(max_latency_ns=10), [1, 5]),
        (TraceFilter(min_latency_ns=10, max_latency_ns=20), [1, 3, 4]),
        (TraceFilter(min_latency_ns=10, has_error=True), [2]),
        (TraceFilter(max_latency_ns=20, has_error=False, before_ns=100), [3, 4]),
        (TraceFilter(min_latency_ns=31), []),
    ],
)
async def test_filters_in_every_order(
    reader: Reader, wanted: TraceFilter, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for few in (5_000, -1):  # what meets a condition is sorted, and an index is walked
        monkeypatch.setattr(driving, "FEW", few)
        assert await reader.numbers(wanted) == expected
        backwards = TraceOrder(ascending=True)
        assert await reader.numbers(wanted, backwards) == expected[::-1]
        for ascending in (False, True):
            order = TraceOrder(by_latency=True, ascending=ascending)
            whole = [number for number in await reader.numbers(order=order) if number in expected]
            assert await reader.numbers(wanted, order) == whole


async def test_sessions_by_both_ids(reader: Reader, database: Database) -> None:
    rows = await database.read(lambda c: rows_of_sessions(c, reader.project_row, ["s"]))
    assert await reader.numbers(TraceFilter(session_rows=tuple(rows))) == [3, 2]
    clean = TraceFilter(session_rows=tuple(rows), has_error=False)
    assert await reader.numbers(clean, LATENCY) == [3]
    assert await reader.numbers(TraceFilter(session_rows=())) == []
    for unknown in (["t"], ["UHJvamVjdFNlc3Npb246OTk="], ["\x00"], []):
        found = await database.read(
            lambda c, ids=unknown: rows_of_sessions(c, reader.project_row, ids)
        )
        assert found == []


@pytest.mark.parametrize("by_latency", [False, True])
@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize(
    "wanted", [TraceFilter(), TraceFilter(min_latency_ns=6)], ids=["all", "some"]
)
async def test_pages_hold_everything_once(
    reader: Reader, wanted: TraceFilter, *, by_latency: bool, ascending: bool
) -> None:
    order = TraceOrder(by_latency=by_latency, ascending=ascending)
    paged: list[int] = []
    start: Position | None = None
    while True:
        found = await reader.traces(wanted, order, start, limit=3)
        paged += [int.from_bytes(trace.trace_id, "big") for trace in found[:2]]
        if len(found) <= 2:
            break
        following = found[2]
        value = following.latency_ns if by_latency else following.start_ns
        start = Position(following.row_id, value)
    assert paged == await reader.numbers(wanted, order)


async def test_spans_of_traces_by_start(reader: Reader) -> None:
    await reader.stored.add("p", make_span(50, trace=1, parent=1, start_ns=105, name="inner"))
    first, *_, last = await reader.traces()
    spans = await reader.stored.database.read(
        lambda c: spans_of_traces(c, [first.row_id, last.row_id])
    )
    assert [span.name for span in spans[first.row_id]] == ["span 1", "inner"]
    assert [span.status_code for span in spans[last.row_id]] == ["ERROR"]
    assert first.trace_id == trace_id(1)
