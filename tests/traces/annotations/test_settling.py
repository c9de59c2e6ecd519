"""Annotations that come before what they are about. Contract: section 9."""

import logging
from typing import Any

import pytest

from bennu.kernel.clock import to_microseconds
from bennu.storage.database import Database
from bennu.storage.schema import (
    document_annotations,
    session_annotations,
    span_annotations,
    trace_annotations,
    waiting_annotations,
)
from bennu.traces.annotations.model import Annotation, AnnotationKind, Author
from bennu.traces.annotations.settling import WaitingAnnotations
from bennu.traces.annotations.store import (
    Placed,
    Waiting,
    add_waiting,
    upsert_annotations,
    waiting_after,
)
from bennu.traces.annotations.targets import find_targets
from fakes.clock import FrozenClock
from fakes.spans import make_span, span_id, trace_id
from fakes.stored import Stored


class Shelf:
    """Lets annotations wait and settles them."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self.stored, self.clock = Stored(database), clock
        self.waiting = WaitingAnnotations(database, clock)

    async def wait(self, kind: AnnotationKind, target: str, **changes: Any) -> None:
        projects = changes.pop("project_ids", None)
        position = 0 if kind is AnnotationKind.DOCUMENT else None
        said = Annotation("n", "CODE", score=0.5, document_position=position, **changes)
        now = to_microseconds(self.clock.now_utc())
        one = Waiting(0, kind, target, projects, said, Author("API", "key:1", None), now)
        await self.stored.database.write(lambda c: add_waiting(c, [one]))

    async def left(self) -> int:
        return await self.stored.count(waiting_annotations)


@pytest.fixture
def shelf(database: Database, clock: FrozenClock) -> Shelf:
    return Shelf(database, clock)


async def test_they_are_written_when_it_comes(shelf: Shelf) -> None:
    await shelf.wait(AnnotationKind.SPAN, span_id(1).hex())
    await shelf.wait(AnnotationKind.TRACE, trace_id(1).hex())
    await shelf.wait(AnnotationKind.SESSION, "s")
    await shelf.wait(AnnotationKind.DOCUMENT, span_id(1).hex())
    await shelf.wait(AnnotationKind.SPAN, span_id(2).hex())
    assert await shelf.waiting.settle() == 0
    assert await shelf.left() == 5
    documents = {"retrieval.documents.0.document.content": "a"}
    await shelf.stored.add("p", make_span(1, session_id="s", attributes=documents))
    said_at = to_microseconds(shelf.clock.now_utc())
    shelf.clock.advance(10)
    assert await shelf.waiting.settle() == 4
    assert await shelf.left() == 1
    for table in (span_annotations, trace_annotations, session_annotations, document_annotations):
        (row,) = await shelf.stored.rows(table)
        assert (row["name"], row["score"], row["sender"]) == ("n", 0.5, "key:1")
        assert row["created_at"] == row["updated_at"] == said_at
    assert await shelf.waiting.settle() == 0


async def test_many_are_looked_at_page_by_page(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bennu.traces.annotations.settling._AT_ONCE", 2)
    for number in range(1, 6):
        await shelf.wait(AnnotationKind.SPAN, span_id(number).hex())
    await shelf.stored.add("p", make_span(2), make_span(5))
    assert await shelf.waiting.settle() == 2
    assert await shelf.left() == 3


async def test_what_never_comes_is_dropped_after_an_hour(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    await shelf.wait(AnnotationKind.SPAN, span_id(1).hex())
    shelf.clock.advance(3_599)
    await shelf.waiting.settle()
    assert await shelf.left() == 1
    shelf.clock.advance(2)
    with caplog.at_level(logging.WARNING):
        assert await shelf.waiting.settle() == 0
    assert await shelf.left() == 0
    assert [record.message for record in caplog.records] == ["annotations.dropped"]


async def test_a_restricted_sender_stays_restricted(shelf: Shelf) -> None:
    mine, theirs = await shelf.stored.project("mine"), await shelf.stored.project("theirs")
    for number in (1, 2):
        await shelf.wait(AnnotationKind.SPAN, span_id(number).hex(), project_ids=frozenset({mine}))
    await shelf.stored.add("mine", make_span(1))
    await shelf.stored.add("theirs", make_span(1), make_span(2))
    assert await shelf.waiting.settle() == 1
    (row,) = await shelf.stored.rows(span_annotations)
    assert row["project_id"] == mine != theirs
    assert await shelf.left() == 1


@pytest.mark.parametrize("kind", [AnnotationKind.SPAN, AnnotationKind.DOCUMENT])
async def test_what_cannot_be_placed_is_dropped(shelf: Shelf, kind: AnnotationKind) -> None:
    await shelf.wait(kind, span_id(1).hex())
    await shelf.stored.add("p", make_span(1))
    if kind is AnnotationKind.SPAN:
        await shelf.stored.add("q", make_span(1))
    assert await shelf.waiting.settle() == 0
    assert await shelf.left() == 0


async def test_what_was_said_later_stays(shelf: Shelf) -> None:
    for label in ("first", "second"):
        await shelf.wait(AnnotationKind.SPAN, span_id(1).hex(), label=label)
        await shelf.wait(AnnotationKind.SPAN, span_id(2).hex(), label=label)
        shelf.clock.advance(1)
    await shelf.stored.add("p", make_span(1), make_span(2))
    (place,) = (
        await shelf.stored.database.read(
            lambda c: find_targets(c, AnnotationKind.SPAN, [span_id(1).hex()])
        )
    ).values()
    later = Placed(place, Annotation("n", "HUMAN", label="later"), Author("APP", "user:1", None))
    now = to_microseconds(shelf.clock.now_utc())
    await shelf.stored.database.write(
        lambda c: upsert_annotations(c, AnnotationKind.SPAN, [later], now)
    )
    await shelf.waiting.settle()
    said = {row["span_row"]: (row["label"], row["sender"]) for row in await rows_of_spans(shelf)}
    assert said.pop(place.row_id) == ("later", "user:1")
    assert list(said.values()) == [("second", "key:1")]
    assert await shelf.left() == 0


async def test_of_several_pages_the_last_word_stays(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bennu.traces.annotations.settling._AT_ONCE", 1)
    for label in ("first", "second"):
        await shelf.wait(AnnotationKind.SPAN, span_id(1).hex(), label=label)
        shelf.clock.advance(1)
    await shelf.stored.add("p", make_span(1))
    await shelf.waiting.settle()
    (row,) = await rows_of_spans(shelf)
    assert row["label"] == "second"


async def rows_of_spans(shelf: Shelf) -> list[Any]:
    return list(await shelf.stored.rows(span_annotations))


async def test_what_is_late_and_in_several_projects_is_dropped_once(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    await shelf.wait(AnnotationKind.SPAN, span_id(1).hex())
    (late,) = await shelf.stored.database.read(lambda c: waiting_after(c, row_id=0, limit=9))
    await shelf.stored.add("p", make_span(1))
    await shelf.stored.add("q", make_span(1))
    with caplog.at_level(logging.WARNING):
        await shelf.stored.database.write(
            lambda c: shelf.waiting.settle_some(c, some=[late], late=[late])
        )
    assert [record.__dict__["count"] for record in caplog.records] == [1]
