"""Batches of spans into traces, sessions and sums. Contract: section 4. Decisions 6, 13."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import Table, select, text

from bennu.kernel.errors import UnavailableError
from bennu.storage.database import Connection, Database, Lane
from bennu.storage.schema import spans, trace_sessions, traces
from bennu.storage.settings import StorageSettings
from bennu.traces.projects.store import project_rows_made
from bennu.traces.spans.model import Span
from bennu.traces.spans.rollups import Sums, rolled_up
from bennu.traces.spans.store import (
    KnownSpansError,
    SpanBatch,
    UnstorableSpansError,
    insert_spans,
    refuse_known_spans,
)
from fakes.clock import FrozenClock
from fakes.spans import SECOND_NS, make_span, span_id, trace_id


class Store:
    """Writes batches and reads rows back."""

    def __init__(self, database: Database, projects: dict[str, int]) -> None:
        self._database = database
        self.projects = projects

    async def add(self, *given: Span, project: str = "a", sender: str = "user:1") -> int:
        batch = SpanBatch(self.projects[project], sender, given)
        return await self._database.write(
            lambda connection: insert_spans(connection, [batch]), lane=Lane.INGEST
        )

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        return await self._database.read(
            lambda connection: [
                dict(row)
                for row in connection.execute(select(table).order_by(table.c.id)).mappings()
            ]
        )

    async def cumulative(self) -> dict[bytes, Sums]:
        return {
            row["span_id"]: Sums(
                row["cumulative_error_count"],
                row["cumulative_prompt_tokens"],
                row["cumulative_completion_tokens"],
            )
            for row in await self.rows(spans)
        }


@pytest.fixture
async def store(database: Database) -> Store:
    made = await database.write(lambda c: project_rows_made(c, ["a", "b"], 1))
    return Store(database, dict(made))


async def test_a_span_is_stored_as_it_came(store: Store) -> None:
    span = make_span(
        7,
        parent=3,
        attributes={"llm.model_name": "m"},
        events=b'[{"name":"e"}]',
        span_kind="LLM",
        status_code="ERROR",
        status_message="broken",
        prompt_tokens=10,
        completion_tokens=5,
    )
    assert await store.add(span, sender="key:9") == 1
    (row,) = await store.rows(spans)
    expected = {
        "project_id": store.projects["a"],
        "span_id": span_id(7),
        "parent_id": span_id(3),
        "name": "span 7",
        "span_kind": "LLM",
        "start_ns": 7 * SECOND_NS,
        "end_ns": 8 * SECOND_NS,
        "status_code": "ERROR",
        "status_message": "broken",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cumulative_error_count": 1,
        "cumulative_prompt_tokens": 10,
        "cumulative_completion_tokens": 5,
        "sender": "key:9",
        "codec": 0,
        "key_id": None,
        "attributes": b'{"llm":{"model_name":"m"}}',
        "events": b'[{"name":"e"}]',
    }
    assert {key: row[key] for key in expected} == expected


async def test_a_trace_is_widened_and_summed(store: Store) -> None:
    await store.add(make_span(5, prompt_tokens=1), make_span(6, status_code="ERROR"))
    await store.add(make_span(2, completion_tokens=7), make_span(9, trace=2))
    first, second = await store.rows(traces)
    assert (first["start_ns"], first["end_ns"]) == (2 * SECOND_NS, 7 * SECOND_NS)
    assert (first["span_count"], first["error_count"]) == (3, 1)
    assert (first["prompt_tokens"], first["completion_tokens"]) == (1, 7)
    assert (second["trace_id"], second["span_count"]) == (trace_id(2), 1)


async def test_a_known_span_changes_nothing(store: Store) -> None:
    first = make_span(1, name="first", prompt_tokens=3)
    await store.add(first, make_span(2, parent=1, prompt_tokens=4))
    before = [await store.rows(table) for table in (spans, traces)]
    second = make_span(1, name="second", prompt_tokens=50, session_id="s")
    assert await store.add(second) == 0
    assert [await store.rows(table) for table in (spans, traces)] == before
    assert await store.rows(trace_sessions) == []


async def test_of_equal_spans_in_one_batch_the_first_stays(store: Store) -> None:
    assert await store.add(make_span(1, name="first", prompt_tokens=3), make_span(1)) == 1
    (row,) = await store.rows(spans)
    (trace,) = await store.rows(traces)
    assert (row["name"], trace["span_count"], trace["prompt_tokens"]) == ("first", 1, 3)


async def test_known_spans_among_new_ones(store: Store) -> None:
    await store.add(make_span(1, prompt_tokens=1))
    added = await store.add(make_span(1, prompt_tokens=1), make_span(2, parent=1, prompt_tokens=10))
    assert added == 1
    (trace,) = await store.rows(traces)
    assert (trace["span_count"], trace["prompt_tokens"]) == (2, 11)
    assert await store.cumulative() == {
        span_id(1): Sums(0, 11, 0),
        span_id(2): Sums(0, 10, 0),
    }


async def test_a_known_span_that_comes_with_another_trace_stays_where_it_was(
    store: Store,
) -> None:
    await store.add(make_span(1, trace=1))
    assert await store.add(make_span(1, trace=2)) == 0
    assert [row["trace_id"] for row in await store.rows(traces)] == [trace_id(1)]


async def test_projects_share_no_ids(store: Store) -> None:
    for project in ("a", "b"):
        span = make_span(1, session_id="s", prompt_tokens=2, name=project)
        assert await store.add(span, project=project) == 1
    assert [row["name"] for row in await store.rows(spans)] == ["a", "b"]
    for table in (traces, trace_sessions):
        assert [row["project_id"] for row in await store.rows(table)] == [
            store.projects["a"],
            store.projects["b"],
        ]
    assert await store.add(make_span(2, parent=1, prompt_tokens=5), project="b") == 1
    assert [row["cumulative_prompt_tokens"] for row in await store.rows(spans)] == [2, 7, 5]


async def test_several_projects_and_senders_in_one_commit(store: Store, database: Database) -> None:
    batches = [
        SpanBatch(store.projects["a"], "one", [make_span(1)]),
        SpanBatch(store.projects["b"], "two", [make_span(1)]),
        SpanBatch(store.projects["a"], "three", [make_span(1), make_span(2)]),
    ]
    assert await database.write(lambda c: insert_spans(c, batches)) == 3
    found = [(row["project_id"], row["sender"]) for row in await store.rows(spans)]
    assert found == [
        (store.projects["a"], "one"),
        (store.projects["b"], "two"),
        (store.projects["a"], "three"),
    ]


# --- sessions ------------------------------------------------------------------------------


async def test_the_first_session_of_a_trace_wins_and_is_widened(store: Store) -> None:
    await store.add(make_span(5, session_id="s"))
    await store.add(make_span(9, session_id="other"), make_span(2))
    (session,) = await store.rows(trace_sessions)
    (trace,) = await store.rows(traces)
    assert session["session_id"] == "s"
    assert (session["start_ns"], session["end_ns"]) == (2 * SECOND_NS, 10 * SECOND_NS)
    assert trace["session_id"] == session["id"]


async def test_a_trace_can_join_a_session_late_with_all_its_time(store: Store) -> None:
    await store.add(make_span(1))
    await store.add(make_span(4, trace=2, session_id="s"))
    await store.add(make_span(6, session_id="s"))
    (session,) = await store.rows(trace_sessions)
    assert (session["start_ns"], session["end_ns"]) == (1 * SECOND_NS, 7 * SECOND_NS)
    assert {row["session_id"] for row in await store.rows(traces)} == {session["id"]}


async def test_several_traces_of_one_session_in_one_batch(store: Store) -> None:
    await store.add(*(make_span(n, trace=n, session_id="s") for n in (3, 1, 2)))
    (session,) = await store.rows(trace_sessions)
    assert (session["start_ns"], session["end_ns"]) == (1 * SECOND_NS, 4 * SECOND_NS)


# --- sums along the tree -------------------------------------------------------------------


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (1, 3, 2), (2, 3, 1), (3, 1, 2)])
async def test_a_chain_sums_up_in_every_order_of_arrival(
    store: Store, order: Sequence[int]
) -> None:
    for number in order:
        parent = number - 1 or None
        await store.add(make_span(number, parent=parent, prompt_tokens=10**number))
    assert await store.cumulative() == {
        span_id(1): Sums(0, 1110, 0),
        span_id(2): Sums(0, 1100, 0),
        span_id(3): Sums(0, 1000, 0),
    }


def _random_tree(random: Random, size: int) -> list[Span]:
    return [
        make_span(
            number,
            trace=1 + number % 2,
            # Parents of the same trace, with gaps: some never come.
            parent=random.choice([None, *range(number % 2, number, 2), 9000 + number]) or None,
            prompt_tokens=random.choice([None, 0, random.randrange(1000)]),
            completion_tokens=random.randrange(10),
            status_code=random.choice(["OK", "ERROR"]),
        )
        for number in range(1, size + 1)
    ]


@pytest.mark.parametrize("seed", range(12))
async def test_random_trees_in_random_order_and_batches_give_the_same_sums(
    store: Store, seed: int
) -> None:
    random = Random(seed)
    tree = _random_tree(random, 40)
    random.shuffle(tree)
    left = list(tree)
    while left:
        size = random.randint(1, 12)
        repeated = random.sample(tree, 2)
        part, left = left[:size], left[size:]
        known = {span.span_id for span in tree} - {span.span_id for span in left}
        await store.add(*part, *(span for span in repeated if span.span_id in known))
    for trace in (1, 2):
        of_trace = [span for span in tree if span.trace_id == trace_id(trace)]
        expected = rolled_up(
            {span.span_id: span.parent_id for span in of_trace},
            {
                span.span_id: Sums(
                    int(span.status_code == "ERROR"),
                    span.prompt_tokens or 0,
                    span.completion_tokens or 0,
                )
                for span in of_trace
            },
        )
        found = await store.cumulative()
        assert {key: found[key] for key in expected} == expected
    totals = await store.rows(traces)
    assert sum(row["span_count"] for row in totals) == 40
    assert sum(row["prompt_tokens"] for row in totals) == sum(s.prompt_tokens or 0 for s in tree)


async def test_a_ring_of_parents_ends(store: Store) -> None:
    await store.add(make_span(1, parent=2, prompt_tokens=1))
    await store.add(make_span(2, parent=1, prompt_tokens=1))
    await store.add(make_span(3, parent=2, prompt_tokens=1), make_span(4, parent=4))
    assert len(await store.rows(spans)) == 4


async def test_a_batch_larger_than_a_statement(store: Store) -> None:
    many = [make_span(n, trace=n % 700, prompt_tokens=1) for n in range(1, 4_501)]
    assert await store.add(*many) == 4_500
    assert sum(row["prompt_tokens"] for row in await store.rows(traces)) == 4_500
    assert await store.add(*many) == 0


# --- refusals ------------------------------------------------------------------------------


async def test_only_new_spans_on_demand(store: Store, database: Database) -> None:
    await store.add(make_span(1))
    given = [make_span(1), make_span(2), make_span(3), make_span(3)]
    batch = SpanBatch(store.projects["a"], "u", given)
    with pytest.raises(KnownSpansError) as caught:
        await database.write(lambda c: refuse_known_spans(c, [batch]))
    assert [span.span_id for span in caught.value.spans] == [span_id(1), span_id(3)]
    other = SpanBatch(store.projects["b"], "u", given[:3])
    await database.write(lambda c: refuse_known_spans(c, [other]))


async def test_what_the_database_refuses_is_named_as_such(store: Store, database: Database) -> None:
    broken = SpanBatch(store.projects["a"], "u", [make_span(1, start_ns=2**64)])
    with pytest.raises(UnstorableSpansError):
        await database.write(lambda c: insert_spans(c, [broken]))
    assert await store.rows(traces) == []


@pytest.mark.parametrize("session_id", [None, "s"])
async def test_a_project_that_was_deleted_meanwhile_asks_for_another_try(
    store: Store, database: Database, session_id: str | None
) -> None:
    late = SpanBatch(999_999, "u", [make_span(1, session_id=session_id)])
    with pytest.raises(UnavailableError, match="deleted while its spans") as caught:
        await database.write(lambda c: insert_spans(c, [late]))
    assert caught.value.retry_after_seconds == 1
    assert await store.rows(traces) == []


async def test_a_savepoint_leaves_the_rest_of_the_transaction(
    store: Store, database: Database
) -> None:
    await store.add(make_span(1))

    def work(connection: Connection) -> int:
        project_rows_made(connection, ["c"], 1)
        batch = SpanBatch(store.projects["a"], "u", [make_span(1), make_span(2)])
        return insert_spans(connection, [batch])

    assert await database.write(work) == 1
    count = await database.read(
        lambda c: c.execute(text("SELECT count(*) FROM projects WHERE name = 'c'")).scalar_one()
    )
    assert count == 1


async def test_two_processes_write_the_same_spans_at_once(
    store: Store, storage_settings: StorageSettings, clock: FrozenClock
) -> None:
    """Exporters repeat what they are not sure of, perhaps at another server of one database."""
    other_database = Database(storage_settings, clock)
    await other_database.start()
    other = Store(other_database, store.projects)
    try:
        tree = [
            make_span(n, trace=n % 5, parent=n - 5 if n > 5 else None, prompt_tokens=1)
            for n in range(1, 101)
        ]
        added = await asyncio.gather(
            *(
                writer.add(*tree[start : start + 10])
                for start in range(0, 100, 10)
                for writer in (store, other)
            )
        )
    finally:
        await other_database.stop()
    assert sum(added) == 100
    totals = await store.rows(traces)
    assert [row["span_count"] for row in totals] == [20] * 5
    cumulative = await store.cumulative()
    assert [cumulative[span_id(n)].prompt_tokens for n in (1, 6, 96)] == [20, 19, 1]
