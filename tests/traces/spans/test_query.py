"""Lists of spans: every filter, order and page, on both databases. Contract: section 6."""

import pytest

from bennu.storage.database import Connection, Database
from bennu.traces.projects.store import project_rows_made
from bennu.traces.spans import driving
from bennu.traces.spans.cursors import Position
from bennu.traces.spans.filters import (
    SpanFilter,
    SpanOrder,
    attribute_match,
)
from bennu.traces.spans.model import Span
from bennu.traces.spans.query import rows_of_spans, rows_within_bytes, spans_in_rows
from bennu.traces.spans.span_json import StoredSpan
from bennu.traces.spans.store import SpanBatch, insert_spans
from fakes.spans import SECOND_NS, make_span, span_id, trace_id

#: Started in another order than they arrived.
GIVEN = (
    make_span(1, start_ns=50, name="root", attributes={"llm.model_name": "gpt", "n": 10}),
    make_span(2, start_ns=20, parent=1, name="tool", span_kind="TOOL", status_code="ERROR"),
    make_span(3, start_ns=40, trace=2, name="root", span_kind="LLM", attributes={"n": 10.0}),
    make_span(4, start_ns=40, trace=2, parent=3, name="tool", attributes={"n": "10"}),
    make_span(5, start_ns=10, trace=3, parent=99, status_code="UNSET", attributes={"n": True}),
)


def page_of_spans(
    connection: Connection,
    project_row: int,
    wanted: SpanFilter,
    order: SpanOrder,
    start: Position | None,
    limit: int,
) -> list[StoredSpan]:
    rows = rows_of_spans(connection, project_row, wanted, order, start, limit)
    return spans_in_rows(connection, rows)


class Reader:
    """Reads pages of one project."""

    def __init__(self, database: Database, project_row: int) -> None:
        self._database = database
        self.project_row = project_row

    async def add(self, *given: Span) -> None:
        batch = SpanBatch(self.project_row, "", given)
        await self._database.write(lambda c: insert_spans(c, [batch]))

    async def numbers(
        self,
        wanted: SpanFilter = SpanFilter(),  # noqa: B008 - frozen
        order: SpanOrder = SpanOrder(),  # noqa: B008 - frozen
        start: Position | None = None,
        limit: int = 100,
    ) -> list[int]:
        found = await self._database.read(
            lambda c: page_of_spans(c, self.project_row, wanted, order, start, limit)
        )
        return [int.from_bytes(span.span_id, "big") for span in found]

    async def with_attribute(self, text: str) -> list[int]:
        return await self.numbers(SpanFilter(attributes=(attribute_match(text),)))


@pytest.fixture
async def reader(database: Database) -> Reader:
    rows = await database.write(lambda c: project_rows_made(c, ["other", "p"], 1))
    await Reader(database, rows["other"]).add(make_span(77, name="root", attributes={"n": 10}))
    reader = Reader(database, rows["p"])
    await reader.add(*GIVEN)
    return reader


async def test_a_span_comes_back_as_it_went_in(reader: Reader, database: Database) -> None:
    (found,) = await database.read(
        lambda c: page_of_spans(
            c, reader.project_row, SpanFilter(span_ids=(span_id(2),)), SpanOrder(), None, 10
        )
    )
    assert (found.trace_id, found.span_id, found.parent_id) == (
        trace_id(1),
        span_id(2),
        span_id(1),
    )
    assert (found.name, found.start_ns, found.end_ns) == ("tool", 20, 3 * SECOND_NS)
    assert (found.status_code, found.status_message) == ("ERROR", "")
    assert (found.attributes, found.events) == (b"{}", b"[]")


async def test_orders(reader: Reader) -> None:
    assert await reader.numbers() == [5, 4, 3, 2, 1]
    assert await reader.numbers(order=SpanOrder(ascending=True)) == [1, 2, 3, 4, 5]
    assert await reader.numbers(order=SpanOrder(by_start=True)) == [1, 4, 3, 2, 5]
    by_start = SpanOrder(by_start=True, ascending=True)
    assert await reader.numbers(order=by_start) == [5, 2, 3, 4, 1]


@pytest.mark.parametrize("by_start", [False, True])
@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_hold_everything_once(
    reader: Reader, database: Database, *, by_start: bool, ascending: bool, size: int
) -> None:
    order = SpanOrder(by_start=by_start, ascending=ascending)
    whole = await reader.numbers(order=order)
    paged: list[int] = []
    start: Position | None = None
    while True:
        position = start
        found = await database.read(
            lambda c, at=position: page_of_spans(
                c, reader.project_row, SpanFilter(), order, at, size + 1
            )
        )
        paged += [int.from_bytes(span.span_id, "big") for span in found[:size]]
        if len(found) <= size:
            break
        start = Position(found[size].row_id, found[size].start_ns)
    assert paged == whole


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (SpanFilter(trace_ids=(trace_id(2),)), [4, 3]),
        (SpanFilter(trace_ids=(trace_id(2), trace_id(3), trace_id(9))), [5, 4, 3]),
        (SpanFilter(trace_ids=(trace_id(9),)), []),
        (SpanFilter(trace_ids=()), []),
        (SpanFilter(span_ids=(span_id(1), span_id(5), span_id(77))), [5, 1]),
        (SpanFilter(parent_id=b""), [3, 1]),
        (SpanFilter(parent_id=span_id(3)), [4]),
        (SpanFilter(parent_id=span_id(99)), [5]),
        (SpanFilter(parent_id=span_id(98)), []),
        (SpanFilter(parent_id=span_id(3), names=("tool",), span_ids=(span_id(4),)), [4]),
        (SpanFilter(parent_id=b"", names=("root", "tool"), from_ns=45), [1]),
        (SpanFilter(names=("root",)), [3, 1]),
        (SpanFilter(names=("root", "tool")), [4, 3, 2, 1]),
        (SpanFilter(names=("Root",)), []),
        (SpanFilter(span_kinds=("LLM", "TOOL")), [3, 2]),
        (SpanFilter(status_codes=("ERROR",)), [2]),
        (SpanFilter(status_codes=("ERROR", "UNSET")), [5, 2]),
        (SpanFilter(from_ns=40), [4, 3, 1]),
        (SpanFilter(before_ns=40), [5, 2]),
        (SpanFilter(from_ns=20, before_ns=50), [4, 3, 2]),
        (SpanFilter(names=("tool",), trace_ids=(trace_id(1),), status_codes=("OK",)), []),
        (SpanFilter(names=("tool",), trace_ids=(trace_id(1),), status_codes=("ERROR",)), [2]),
    ],
)
async def test_filters(
    reader: Reader, wanted: SpanFilter, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_start = [n for n in await reader.numbers(order=SpanOrder(by_start=True)) if n in expected]
    for few in (5_000, -1):  # what meets a condition is sorted, and an index is walked
        monkeypatch.setattr(driving, "FEW", few)
        assert await reader.numbers(wanted) == expected
        assert await reader.numbers(wanted, SpanOrder(by_start=True)) == by_start


async def test_a_limit_and_a_filter(reader: Reader) -> None:
    assert await reader.numbers(SpanFilter(names=("root", "tool")), limit=2) == [4, 3]


async def test_rows_that_are_gone_are_left_out(database: Database) -> None:
    assert await database.read(lambda c: spans_in_rows(c, [12345])) == []


# --- attributes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n:10", [3, 1]),
        ("n:10.0", [3, 1]),
        ('n:"10"', [4]),
        ("n:true", [5]),
        ("n:false", []),
        ("n:1", []),
        ("llm.model_name:gpt", [1]),
        ('llm.model_name:"gpt"', [1]),
        ("llm.model_name:gpt-4", []),
        ("llm:gpt", []),
        ("model_name:gpt", []),
    ],
)
async def test_attribute_values_and_types(reader: Reader, text: str, expected: list[int]) -> None:
    assert await reader.with_attribute(text) == expected


async def test_attributes_all_hold(reader: Reader) -> None:
    both = tuple(attribute_match(text) for text in ("n:10", "llm.model_name:gpt"))
    assert await reader.numbers(SpanFilter(attributes=both)) == [1]


HARD = {
    10: {"docs.0.content": "first", "docs.1.content": "second"},
    11: {"tags.0": "numbered"},
    12: {"a": 1, "a.b": "beside", "a.b.c": "deep"},
    13: {"x.a": 1, "x.a.b": "inner"},
    14: {"quote": 'say "hi"\n', "umlaut": "Grüße 😀", "back": "a\\u0000b"},
    15: {"nul": "a\x00b", "n": 1},
    16: {"big": 2**62, "small": -0.5, "empty": "", "nested": {"k": None}},
    17: {"%": "percent", "key with blanks": "x", "ключ": "да"},
    18: {"list": ["a", "b"], "text": "true"},
    19: {"docs.0.tags.0": "x", "docs.0.c": 5, "m": {"-1": "key", "4294967296": "long"}},
    20: {"r.0.0.0.0.n": "chain"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docs.0.content:first", [10]),
        ("docs.1.content:first", []),
        ("tags.0:numbered", [11]),
        ("a:1", [12]),
        ("a.b:beside", [12]),
        ("a.b.c:deep", [12]),
        ("x.a.b:inner", [13]),
        ('quote:say "hi"\n', [14]),
        ("umlaut:Grüße 😀", [14]),
        ("back:a\\u0000b", [14]),
        ("n:1", [15]),
        (f"big:{2**62}", [16]),
        ("small:-0.5", [16]),
        ("small:-5e-1", [16]),
        ('empty:""', [16]),
        (f"big:{10**40}", []),
        ("%:percent", [17]),
        ("key with blanks:x", [17]),
        ("ключ:да", [17]),
        ('text:"true"', [18]),
        ("text:true", []),
        ("list:a", []),
        ("list.0:a", [18]),
        ("docs.0.tags.0:x", [19]),
        ("docs.0.c:5", [19]),
        ("docs.4294967296.c:5", []),
        ("docs.-1.c:5", []),
        ("docs.+0.c:5", []),
        ("list.-1:b", []),
        ("m.-1:key", [19]),
        ("m.4294967296:long", [19]),
        ("r.0.0.0.0.n:chain", [20]),
    ],
)
async def test_unusual_attributes(reader: Reader, text: str, expected: list[int]) -> None:
    await reader.add(*(make_span(n, attributes=given) for n, given in HARD.items()))
    unusual = [number for number in await reader.with_attribute(text) if number >= 10]
    assert unusual == expected


async def test_a_value_with_nul_is_no_error(reader: Reader) -> None:
    await reader.add(make_span(15, attributes={"nul": "a\x00b"}))
    assert await reader.with_attribute('nul:"a\\u0000b"') in ([], [15])


@pytest.mark.asvs("1.2.4")
async def test_values_are_never_sql(reader: Reader) -> None:
    for text in ("n:' OR 1=1 --", "n');DROP TABLE spans;--:1", "n:{given}", "n:%s", "n:?"):
        assert await reader.with_attribute(text) == []
    assert len(await reader.numbers()) == 5


async def test_rows_within_bytes(reader: Reader, database: Database) -> None:
    await reader.add(make_span(10, trace=9, attributes={"large": "x" * 1_000}))

    async def count(numbers: list[int], most_bytes: int) -> int:
        return len(await database.read(lambda c: rows_within_bytes(c, numbers, most_bytes)))

    def row_of(connection: Connection) -> int:
        everything = rows_of_spans(
            connection, reader.project_row, SpanFilter(), SpanOrder(), None, 1
        )
        return everything[0]

    large = await database.read(row_of)
    assert await count([], 1) == 0
    assert await count([large, large - 1], 10) == 1
    assert await count([large - 1, large, large - 2], 500) == 1
    assert await count([large - 1, large, large - 2], 5_000) == 3
