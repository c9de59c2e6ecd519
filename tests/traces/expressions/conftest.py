"""Spans, traces, sessions and annotations whose answers to filters are known."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bennu.storage.database import Database
from bennu.storage.schema import (
    session_annotations,
    span_annotations,
    spans,
    trace_annotations,
    trace_sessions,
    traces,
)
from bennu.traces.expressions.meaning import condition_of
from bennu.traces.expressions.sql import sql_of
from bennu.traces.expressions.tree import Scope
from fakes.spans import SECOND_NS, make_span, span_id
from fakes.stored import Stored

Find = Callable[..., Awaitable[list[int]]]

EVENTS = (
    b'[{"name":"exception","timestamp":"1970-01-01T00:00:02+00:00",'
    b'"attributes":{"exception.type":"ValueError","n":1}},'
    b'{"name":"other","timestamp":"1970-01-01T00:00:02+00:00","attributes":{"n":5}}]'
)
#: Two traces: 1 (chain), 2 (llm), 3 (retriever), 4 (tool); 5 (llm without parent), 6 (orphan).
SPANS: tuple[tuple[int, int, dict[str, Any]], ...] = (
    (
        1,
        1,
        {
            "name": "root",
            "end_ns": 9 * SECOND_NS,
            "session_id": "s-1",
            "attributes": {
                "input.value": "Hello bird",
                "output.value": "5",
                "metadata.tier": "gold",
                "metadata.year": 2024,
                "metadata.is_new": True,
                "tag.tags": ["a", "b"],
                "user.id": "u-1",
                "llm.model_name": None,
            },
        },
    ),
    (
        2,
        1,
        {
            "parent": 1,
            "name": "llm",
            "span_kind": "LLM",
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "end_ns": 2 * SECOND_NS + 1_500_000,
            "attributes": {
                "llm.model_name": "gpt-4o",
                "llm.token_count.prompt": 10,
                "llm.token_count.completion": 5,
                "llm.token_count.total": 15,
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": "Hi",
                "llm.input_messages.1.message.role": "system",
                "llm.other_name": "gpt-4o",
                "metadata.tier": "free",
                "metadata.year": 2023.5,
            },
        },
    ),
    (
        3,
        1,
        {
            "parent": 1,
            "name": "retrieve",
            "span_kind": "RETRIEVER",
            "attributes": {
                "retrieval.documents.0.document.content": "doc A",
                "retrieval.documents.0.document.score": 0.9,
                "retrieval.documents.1.document.content": "doc B",
                "retrieval.documents.1.document.score": 0.2,
                "embedding.vector": [1, 2.5, -3],
            },
        },
    ),
    (
        4,
        1,
        {
            "parent": 2,
            "name": 'tool\'s "own"',
            "span_kind": "TOOL",
            "status_code": "ERROR",
            "status_message": "Boom: 50%",
            "events": EVENTS,
            "attributes": {"tool.name": "search", "a": 1, "a.b": "beside", "flag": False},
        },
    ),
    (
        5,
        2,
        {
            "name": "llm",
            "span_kind": "LLM",
            "status_code": "UNSET",
            "prompt_tokens": 100,
            "completion_tokens": 7,
            "session_id": "s-2",
            "attributes": {
                "llm.model_name": "claude",
                "llm.token_count.prompt": 100,
                "metadata.tier": 5,
                "big": 2**62,
                "umlaut": "Grüße",
                "flag": True,
            },
        },
    ),
    (6, 2, {"parent": 77, "name": "orphan", "attributes": {"empty": "", "none.list": []}}),
)


async def annotate(stored: Stored, table: Any, column: str, row: int, **values: Any) -> None:
    project = await stored.project("p")
    made = {
        "project_id": project,
        column: row,
        "identifier": "",
        "annotator_kind": "LLM",
        "label": None,
        "score": None,
        "explanation": None,
        "metadata": "{}",
        "source": "API",
        "sender": "",
        "created_at": 1,
        "updated_at": 1,
        **values,
    }
    await stored.database.write(lambda c: c.execute(table.insert(), [made]))


async def fill(stored: Stored) -> None:
    await stored.add("p", *(make_span(n, trace=t, **dict(more)) for n, t, more in SPANS))
    rows = {row["span_id"]: row["id"] for row in await stored.rows(spans)}
    one, two, five = (rows[span_id(n)] for n in (1, 2, 5))
    say = annotate
    await say(stored, span_annotations, "span_row", one, name="good", label="yes", score=0.75)
    await say(stored, span_annotations, "span_row", two, name="good", label="old", score=1.0)
    newest = {"identifier": "i", "updated_at": 2, "annotator_kind": "HUMAN"}
    await say(
        stored, span_annotations, "span_row", two, name="good", label="no", score=0.25, **newest
    )
    await say(stored, span_annotations, "span_row", five, name="note", explanation="look at me")
    await say(stored, trace_annotations, "trace_row", 1, name="tq", score=0.5)
    await say(stored, session_annotations, "session_row", 2, name="sq", label="bad")


@pytest.fixture
async def find(database: Database) -> Find:
    """Return the numbers of spans, or of traces or sessions, that meet a filter."""
    stored = Stored(database)
    await fill(stored)
    ids = {
        Scope.SPAN: (spans.c.span_id, spans.c.id),
        Scope.TRACE: (traces.c.trace_id, traces.c.id),
        Scope.SESSION: (trace_sessions.c.session_id, trace_sessions.c.id),
    }

    async def found(text: str, of: Scope = Scope.SPAN) -> list[int]:
        column, row = ids[of]

        def work(connection: Connection) -> list[int]:
            condition = sql_of(condition_of(text, of), connection.dialect.name)
            keys = connection.execute(select(column).where(condition).order_by(row)).scalars()
            return [
                int(key[2:]) if isinstance(key, str) else int.from_bytes(key, "big") for key in keys
            ]

        return await database.read(work)

    return found
