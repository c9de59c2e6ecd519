"""The queue in front of the writer: bounds, groups, refusals, the end. Decision 6."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from bennu.access import BUILT_IN_ROLES, EVERYBODY, MEMBER, VIEWER, Caller, Principal, PrincipalKind
from bennu.kernel.errors import DeniedError, InvalidError, MalformedError, UnavailableError
from bennu.storage.database import Database
from bennu.storage.schema import projects, spans
from bennu.traces.ingest.buffer import (
    AT_CAPACITY,
    SHUTTING_DOWN,
    IngestBuffer,
    OutsideProjectsError,
)
from bennu.traces.projects.store import project_rows_named
from bennu.traces.settings import TracesSettings
from bennu.traces.spans.model import DecodedExport, ProjectSpans, Span
from bennu.traces.spans.store import KnownSpansError
from fakes.clock import FrozenClock
from fakes.spans import make_span

CALLER = Caller(EVERYBODY)
Decode = Callable[[], DecodedExport]


def export_of(*given: Span, project: str = "p") -> DecodedExport:
    return DecodedExport((ProjectSpans(project, given),), (), len(given))


class Gate:
    """A decoder that waits until it is opened, so that a commit can be held."""

    def __init__(self, result: DecodedExport) -> None:
        self._result = result
        self._opened = threading.Event()
        self.entered = threading.Event()

    def __call__(self) -> DecodedExport:
        self.entered.set()
        assert self._opened.wait(20)
        return self._result

    def open(self) -> None:
        self._opened.set()

    async def wait_until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 20)


async def take(
    buffer: IngestBuffer, decode: Decode, caller: Caller = CALLER, byte_count: int = 100
) -> DecodedExport:
    with buffer.reserve() as room:
        room.grow(byte_count)
        return await buffer.take_export(room, decode, caller, "protobuf")


async def stored(database: Database) -> int:
    return await database.read(
        lambda c: int(c.execute(select(func.count()).select_from(spans)).scalar_one())
    )


def broken() -> DecodedExport:
    raise MalformedError("broken")


async def test_what_is_answered_is_stored(buffer: IngestBuffer, database: Database) -> None:
    answered = await take(buffer, lambda: export_of(make_span(1), make_span(2)))
    assert answered.span_count == 2
    assert await stored(database) == 2
    assert (buffer.waiting_bytes, buffer.waiting_spans) == (0, 0)
    assert buffer.stored_spans_total == 2


async def test_a_broken_request_fails_alone(buffer: IngestBuffer, database: Database) -> None:
    gate = Gate(export_of(make_span(1)))
    first = asyncio.create_task(take(buffer, gate))
    await gate.wait_until_entered()
    rest = [
        asyncio.create_task(take(buffer, decode))
        for decode in (
            lambda: export_of(make_span(2)),
            broken,
            lambda: export_of(make_span(3), project=" "),
            lambda: export_of(make_span(4)),
        )
    ]
    await asyncio.sleep(0)
    gate.open()
    outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        DecodedExport,
        DecodedExport,
        MalformedError,
        InvalidError,
        DecodedExport,
    ]
    assert await stored(database) == 3


async def test_what_the_database_refuses_fails_alone(
    buffer: IngestBuffer, database: Database
) -> None:
    gate = Gate(export_of(make_span(1)))
    first = asyncio.create_task(take(buffer, gate))
    await gate.wait_until_entered()
    unstorable = make_span(99, start_ns=1 << 70)
    rest = [
        asyncio.create_task(take(buffer, lambda span=span: export_of(span)))
        for span in (make_span(2), make_span(3), unstorable, make_span(4), make_span(5))
    ]
    await asyncio.sleep(0)
    gate.open()
    outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
    failed = [isinstance(outcome, BaseException) for outcome in outcomes]
    assert failed == [False, False, False, True, False, False]
    assert isinstance(outcomes[3], InvalidError)
    assert await stored(database) == 5


async def test_a_defect_in_decoding_fails_alone(buffer: IngestBuffer, database: Database) -> None:
    def defect() -> DecodedExport:
        raise KeyError("defect")

    gate = Gate(export_of(make_span(1)))
    tasks = [asyncio.create_task(take(buffer, gate))]
    await gate.wait_until_entered()
    tasks += [
        asyncio.create_task(take(buffer, decode))
        for decode in (defect, lambda: export_of(make_span(2)))
    ]
    await asyncio.sleep(0)
    gate.open()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DecodedExport, KeyError, DecodedExport]
    assert await stored(database) == 2


async def test_requests_gather_while_a_commit_runs(
    buffer: IngestBuffer, database: Database
) -> None:
    rounds: list[int] = []
    gate = Gate(export_of(make_span(1)))
    first = asyncio.create_task(take(buffer, gate))
    await gate.wait_until_entered()
    write = database.write

    async def counted(*arguments: object, **named: object) -> object:
        rounds.append(1)
        return await write(*arguments, **named)

    database.write = counted
    rest = [
        asyncio.create_task(take(buffer, lambda n=n: export_of(make_span(n)))) for n in range(2, 52)
    ]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, *rest)
    assert await stored(database) == 51
    assert len(rounds) == 1


async def test_a_commit_takes_a_bounded_number_of_spans(
    buffer: IngestBuffer, database: Database
) -> None:
    """Small bodies can hold many spans: what is too much for one commit waits for the next."""
    decoded: list[int] = []

    def many(start: int) -> DecodedExport:
        decoded.append(start)
        return export_of(*(make_span(start + n, trace=start) for n in range(1_500)))

    gate = Gate(export_of(make_span(1)))
    first = asyncio.create_task(take(buffer, gate))
    await gate.wait_until_entered()
    rest = [
        asyncio.create_task(take(buffer, lambda start=start: many(start)))
        for start in (10_000, 20_000, 30_000)
    ]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, *rest)
    assert decoded == [10_000, 20_000, 30_000]
    assert await stored(database) == 4_501


# --- bounds --------------------------------------------------------------------------------


async def hold_one(
    buffer: IngestBuffer, byte_count: int = 100
) -> "tuple[Gate, asyncio.Task[DecodedExport]]":
    gate = Gate(export_of(make_span(1)))
    task = asyncio.create_task(take(buffer, gate, byte_count=byte_count))
    await gate.wait_until_entered()
    return gate, task


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=1_000)])
async def test_full_in_bytes(buffer: IngestBuffer, database: Database) -> None:
    gate, first = await hold_one(buffer, byte_count=900)
    with pytest.raises(UnavailableError, match=AT_CAPACITY) as refused:
        await take(buffer, broken, byte_count=200)
    assert refused.value.retry_after_seconds == 1
    assert buffer.refused_requests_total == 1
    fits = asyncio.create_task(take(buffer, lambda: export_of(make_span(2)), byte_count=100))
    await asyncio.sleep(0)
    assert buffer.is_at_capacity
    gate.open()
    await asyncio.gather(first, fits)
    assert not buffer.is_at_capacity
    assert await stored(database) == 2


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_spans=3)])
async def test_full_in_spans(buffer: IngestBuffer, database: Database) -> None:
    gate, first = await hold_one(buffer)
    fit = [asyncio.create_task(take(buffer, lambda n=n: export_of(make_span(n)))) for n in (2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match=AT_CAPACITY):
        await take(buffer, broken)
    gate.open()
    await asyncio.gather(first, *fit)
    assert await stored(database) == 3


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=10, max_queue_spans=1)])
async def test_a_request_above_the_bounds_is_taken_when_nothing_waits(
    buffer: IngestBuffer, database: Database
) -> None:
    await take(buffer, lambda: export_of(make_span(1), make_span(2)), byte_count=50_000)
    assert await stored(database) == 2


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_spans=250)])
async def test_spans_are_estimated_from_requests_of_the_same_form(buffer: IngestBuffer) -> None:
    """A form with 10 bytes a span: 1,000 bytes are then 100 spans and not one."""
    await take(buffer, lambda: export_of(*(make_span(n) for n in range(1, 101))), byte_count=1_000)
    gate, first = await hold_one(buffer, byte_count=1_000)
    second = asyncio.create_task(take(buffer, lambda: export_of(make_span(2)), byte_count=1_000))
    await asyncio.sleep(0)
    assert buffer.waiting_spans == 200
    with pytest.raises(UnavailableError):
        await take(buffer, broken, byte_count=1_000)
    gate.open()
    await asyncio.gather(first, second)


@pytest.mark.parametrize("traces_settings", [TracesSettings(max_queue_bytes=1_000)])
async def test_bytes_count_from_the_moment_they_are_received(buffer: IngestBuffer) -> None:
    with buffer.reserve() as one, buffer.reserve() as other:
        one.grow(600)
        with pytest.raises(UnavailableError):
            other.grow(401)
        other.grow(400)
        with pytest.raises(UnavailableError):
            one.grow(1)
        assert buffer.waiting_bytes == 1_000
    assert buffer.waiting_bytes == 0


# --- who may -------------------------------------------------------------------------------


def restricted(*rows: int) -> Caller:
    return Caller(
        Principal(
            kind=PrincipalKind.SYSTEM_KEY,
            public_id="key:1",
            role=MEMBER,
            permissions=BUILT_IN_ROLES[MEMBER],
            project_ids=frozenset(rows),
        )
    )


@pytest.mark.asvs("8.4.1")
async def test_a_restricted_key_writes_to_its_projects_only(
    buffer: IngestBuffer, database: Database
) -> None:
    await take(buffer, lambda: export_of(make_span(1), project="mine"))
    await take(buffer, lambda: export_of(make_span(1), project="theirs"))
    rows = await database.read(lambda c: project_rows_named(c, ["mine", "theirs"]))
    caller = restricted(rows["mine"])
    await take(buffer, lambda: export_of(make_span(2), project="mine"), caller)
    for outside in ("theirs", "new"):
        both = DecodedExport(
            (ProjectSpans("mine", (make_span(3),)), ProjectSpans(outside, (make_span(4),))), (), 2
        )
        with pytest.raises(OutsideProjectsError):
            await take(buffer, lambda both=both: both, caller)
    assert await stored(database) == 3
    names = await database.read(lambda c: c.execute(select(projects.c.name)).scalars().all())
    assert "new" not in names
    senders = await database.read(
        lambda c: c.execute(select(spans.c.sender).order_by(spans.c.id)).scalars().all()
    )
    assert senders == ["", "", "key:1"]


async def test_the_permission_is_needed_here_too(buffer: IngestBuffer) -> None:
    viewer = Principal(
        kind=PrincipalKind.USER, role=VIEWER, permissions=BUILT_IN_ROLES[VIEWER], user_id=1
    )
    with pytest.raises(DeniedError):
        await take(buffer, broken, Caller(viewer))


# --- all or none ---------------------------------------------------------------------------


async def take_new(buffer: IngestBuffer, decoded: DecodedExport) -> DecodedExport:
    with buffer.reserve() as room:
        return await room.take_new_spans(decoded, CALLER)


async def test_new_spans_or_none(buffer: IngestBuffer, database: Database) -> None:
    await take_new(buffer, export_of(make_span(1)))
    with pytest.raises(KnownSpansError) as refused:
        await take_new(buffer, export_of(make_span(2), make_span(1), project="p"))
    assert [span.name for span in refused.value.spans] == ["span 1"]
    twice = export_of(make_span(3), make_span(3), project="never made")
    with pytest.raises(KnownSpansError):
        await take_new(buffer, twice)
    assert await stored(database) == 1
    made = await database.read(lambda c: project_rows_named(c, ["never made"]))
    assert made == {}


async def test_new_spans_take_the_room_of_their_request_or_more(buffer: IngestBuffer) -> None:
    counted = []
    for body_bytes in (0, 1_000_000):
        with buffer.reserve() as room:
            room.grow(body_bytes)
            await room.take_new_spans(export_of(make_span(body_bytes + 1)), CALLER)
            counted.append(room.byte_count)
    assert 0 < counted[0] < 1_000
    assert counted[1] == 1_000_000
    assert buffer.waiting_bytes == 0


async def test_new_spans_do_not_mix_with_exports_of_the_same(
    buffer: IngestBuffer, database: Database
) -> None:
    gate, first = await hold_one(buffer)
    export = asyncio.create_task(take(buffer, lambda: export_of(make_span(2))))
    posted = asyncio.create_task(take_new(buffer, export_of(make_span(2))))
    other = asyncio.create_task(take_new(buffer, export_of(make_span(3))))
    await asyncio.sleep(0)
    gate.open()
    outcomes = await asyncio.gather(first, export, posted, other, return_exceptions=True)
    assert [isinstance(outcome, KnownSpansError) for outcome in outcomes] == [
        False,
        False,
        True,
        False,
    ]
    assert await stored(database) == 3


# --- the end -------------------------------------------------------------------------------


async def test_draining_finishes_what_was_taken_and_takes_no_more(
    buffer: IngestBuffer, database: Database
) -> None:
    gate, first = await hold_one(buffer)
    second = asyncio.create_task(take(buffer, lambda: export_of(make_span(2))))
    await asyncio.sleep(0)
    draining = asyncio.create_task(buffer.drain())
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match=SHUTTING_DOWN):
        await take(buffer, broken)
    with pytest.raises(UnavailableError, match=SHUTTING_DOWN):
        await take_new(buffer, export_of(make_span(9)))
    assert not draining.done()
    gate.open()
    await draining
    assert (await first).span_count == (await second).span_count == 1
    assert await stored(database) == 2


async def test_one_who_stops_waiting_is_dropped_and_leaves_its_room(
    buffer: IngestBuffer, database: Database
) -> None:
    gate, first = await hold_one(buffer)
    gone = asyncio.create_task(take(buffer, broken))
    stays = asyncio.create_task(take(buffer, lambda: export_of(make_span(2))))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    assert buffer.waiting_bytes == 200
    gate.open()
    await asyncio.gather(first, stays)
    assert gone.cancelled()
    assert await stored(database) == 2


async def test_one_who_stops_waiting_during_its_commit_harms_nobody(
    buffer: IngestBuffer, database: Database
) -> None:
    gate, first = await hold_one(buffer)
    first.cancel()
    await asyncio.wait([first])
    gate.open()
    await take(buffer, lambda: export_of(make_span(2)))
    assert await stored(database) == 2


async def test_a_database_that_is_away_refuses_all_who_wait(
    database: Database, clock: FrozenClock
) -> None:
    buffer = IngestBuffer(database, TracesSettings(), clock)
    gate = Gate(export_of(make_span(1)))
    first = asyncio.create_task(take(buffer, gate))
    await gate.wait_until_entered()
    rest = [asyncio.create_task(take(buffer, lambda: export_of(make_span(2)))) for _ in range(3)]
    await asyncio.sleep(0)
    stopping = asyncio.create_task(database.stop())
    await asyncio.sleep(0)
    gate.open()
    await stopping
    outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
    assert all(isinstance(outcome, UnavailableError) for outcome in outcomes[1:])
    assert len({id(outcome) for outcome in outcomes[1:]}) == 3
    assert (buffer.waiting_bytes, buffer.waiting_spans) == (0, 0)
