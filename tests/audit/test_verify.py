"""Tampering with the trail is found and placed. Spec: lines 256-260."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Connection, delete, func, insert, select, update

from bennu.audit.chain import CHAINED_FIELDS, head_mac_of
from bennu.audit.checkpoint import sign_checkpoint
from bennu.audit.store import (
    CHAIN_PURPOSE,
    EMPTY_HEAD,
    SIGNING_PURPOSE,
    Head,
    insert_checkpoint,
    move_head,
)
from bennu.audit.verify import TamperReason, TrailFinding, verify_trail
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.schema import audit_events, audit_head, purpose_keys
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from fakes.trail import Trail, started_trail

pytestmark = pytest.mark.anyio
sequence_column = audit_events.c.sequence
#: Tampers with the record at a place and returns where the trail must first differ.
Tampering = Callable[[Connection, int, random.Random], int]


class _RollBackError(Exception):
    """Carries a finding out of a transaction that must leave nothing."""

    def __init__(self, finding: TrailFinding) -> None:
        super().__init__()
        self.finding = finding


async def finding_after(trail: Trail, tamper: Callable[[Connection], object]) -> TrailFinding:
    """Tamper, verify and take it back."""

    def work(connection: Connection) -> None:
        tamper(connection)
        raise _RollBackError(verify_trail(connection, trail.vault))

    with pytest.raises(_RollBackError) as caught:
        await trail.database.write(work)
    return caught.value.finding


async def verified(trail: Trail) -> TrailFinding:
    return await trail.database.read(lambda c: verify_trail(c, trail.vault))


def newest_sequence(connection: Connection) -> int:
    return int(connection.execute(select(func.max(sequence_column))).scalar_one())


def shift(connection: Connection, above: int, by: int) -> None:
    """Renumber the records above a place; in two steps, as numbers must stay unique."""
    connection.execute(
        update(audit_events).where(sequence_column > above).values(sequence=-sequence_column - by)
    )
    connection.execute(
        update(audit_events).where(sequence_column < 0).values(sequence=-sequence_column)
    )


def change(connection: Connection, place: int, rng: random.Random) -> int:
    name = rng.choice([n for n in CHAINED_FIELDS if n != "sequence"])
    column = audit_events.c[name]
    is_number = name in {"time_at", "count"}
    value = column + 1 if is_number else f"{rng.random()}"
    connection.execute(update(audit_events).where(sequence_column == place).values({name: value}))
    return place


def change_personal(connection: Connection, place: int, rng: random.Random) -> int:
    name = rng.choice(["personal", "personal_salt"])
    value = rng.choice(["{}", None, "00"])
    connection.execute(update(audit_events).where(sequence_column == place).values({name: value}))
    return place


def remove(connection: Connection, place: int, rng: random.Random) -> int:
    connection.execute(delete(audit_events).where(sequence_column == place))
    if place < newest_sequence(connection) and rng.random() < 0.5:
        shift(connection, place, -1)
    return place


def insert_copy(connection: Connection, place: int, rng: random.Random) -> int:
    """Put a copy of another record in front of one; the rest moves on."""
    source = rng.randint(1, newest_sequence(connection))
    row = dict(
        connection.execute(select(audit_events).where(sequence_column == source)).mappings().one()
    )
    shift(connection, place - 1, 1)
    connection.execute(insert(audit_events).values(row | {"sequence": place, "id": "copy"}))
    return place


def reorder(connection: Connection, place: int, rng: random.Random) -> int:
    other = rng.randint(1, newest_sequence(connection) - 1)
    other += other >= place
    for old, new in ((place, -1), (other, place), (-1, other)):
        connection.execute(update(audit_events).where(sequence_column == old).values(sequence=new))
    return min(place, other)


def cut_tail(connection: Connection, place: int, rng: random.Random) -> int:  # noqa: ARG001
    connection.execute(delete(audit_events).where(sequence_column >= place))
    return place


KINDS: tuple[Tampering, ...] = (change, change_personal, remove, insert_copy, reorder, cut_tail)


async def check_tamperings(trail: Trail, records: int, tamperings: int) -> None:
    """Tamper at random places in every way; each must be found just there."""
    rng = random.Random(7)
    for number in range(tamperings):
        tamper, place = KINDS[number % len(KINDS)], rng.randint(1, records)
        expected: list[int] = []

        def work(
            connection: Connection,
            tamper: Tampering = tamper,
            place: int = place,
            expected: list[int] = expected,
        ) -> None:
            expected.append(tamper(connection, place, rng))

        finding = await finding_after(trail, work)
        assert not finding.ok, (tamper.__name__, place)
        assert finding.first_bad_sequence == expected[0], (tamper.__name__, place, finding)
        assert finding.records == expected[0] - 1


@pytest.mark.asvs("16.4.2")
@pytest.mark.parametrize(
    ("records", "tamperings"),
    [
        (1_000, 30),
        pytest.param(10_000, 1_000, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
    ],
)
async def test_each_tampering_is_found_and_placed(
    database: Database, clock: FrozenClock, records: int, tamperings: int
) -> None:
    trail = await started_trail(database, clock, records)
    assert await verified(trail) == TrailFinding(records)
    await check_tamperings(trail, records, tamperings)
    assert await verified(trail) == TrailFinding(records)


@pytest.mark.timeout(300)
async def test_a_hundred_tamperings_over_ten_thousand_records(
    sqlite_settings: StorageSettings, clock: FrozenClock
) -> None:
    database = Database(sqlite_settings, clock)
    await database.start()
    try:
        await migrate(database, sqlite_settings)
        trail = await started_trail(database, clock, 10_000)
        await check_tamperings(trail, 10_000, 100)
        assert await verified(trail) == TrailFinding(10_000)
    finally:
        await database.stop()


@pytest.mark.parametrize(
    ("tamper", "place", "reason"),
    [
        (change, 4, TamperReason.CHANGED),
        (change_personal, 4, TamperReason.PERSONAL_CHANGED),
        (cut_tail, 4, TamperReason.TAIL_REMOVED),
        (insert_copy, 4, TamperReason.DISPLACED),
    ],
)
async def test_the_reason_is_told(
    database: Database, clock: FrozenClock, tamper: Tampering, place: int, reason: str
) -> None:
    trail = await started_trail(database, clock, 60 if tamper is insert_copy else 6)
    rng = random.Random(1)
    finding = await finding_after(trail, lambda c: tamper(c, place, rng))
    assert (finding.first_bad_sequence, finding.reason) == (place, reason)


async def test_what_was_pruned_by_the_server_is_not_missed(
    database: Database, clock: FrozenClock
) -> None:
    """A base that the server signed is good; the same by somebody else is not."""
    trail = await started_trail(database, clock, 10)

    def prune(connection: Connection, *, signed: bool) -> None:
        base = select(audit_events.c.chain_hash).where(sequence_column == 4)
        head = dict(connection.execute(select(audit_head)).mappings().one())
        head |= {"first_sequence": 5, "base_hash": connection.execute(base).scalar_one()}
        if signed:
            head["mac"] = head_mac_of(trail.vault.purpose_key(connection, CHAIN_PURPOSE), head)
        connection.execute(update(audit_head).values(head))
        connection.execute(delete(audit_events).where(sequence_column <= 4))

    good = await finding_after(trail, lambda c: prune(c, signed=True))
    assert good == TrailFinding(6)
    forged = await finding_after(trail, lambda c: prune(c, signed=False))
    assert forged.reason is TamperReason.HEAD_CHANGED


async def test_erased_personal_fields_leave_the_trail_whole(
    database: Database, clock: FrozenClock
) -> None:
    trail = await started_trail(database, clock, 3)
    erase = update(audit_events).values(personal=None, personal_salt=None)
    assert (await finding_after(trail, lambda c: c.execute(erase))).ok


async def test_head_and_key_cannot_be_taken_away(database: Database, clock: FrozenClock) -> None:
    trail = await started_trail(database, clock, 3)
    without_head = await finding_after(trail, lambda c: c.execute(delete(audit_head)))
    assert without_head.reason is TamperReason.HEAD_REMOVED
    without_key = await finding_after(trail, lambda c: c.execute(delete(purpose_keys)))
    assert without_key.reason is TamperReason.KEY_REMOVED


async def test_a_trail_is_not_good_for_another_key(database: Database, clock: FrozenClock) -> None:
    """A key of the chain that was put there, sealed under anything else, opens nothing."""
    trail = await started_trail(database, clock, 3)
    foreign = update(purpose_keys).values(value="0123456789ab:foreign")
    finding = await finding_after(trail, lambda c: c.execute(foreign))
    assert finding.reason is TamperReason.KEY_CHANGED


async def test_a_checkpoint_of_pruned_records_is_compared_with_the_base(
    database: Database, clock: FrozenClock
) -> None:
    trail = await started_trail(database, clock, 6)
    key = trail.audit.chain_key()

    def prune(connection: Connection, base: str) -> None:
        kept = select(audit_events.c.chain_hash).where(sequence_column == 6)
        newest = connection.execute(kept).scalar_one()
        move_head(connection, key, Head(6, newest, 5, base))
        connection.execute(delete(audit_events).where(sequence_column <= 4))
        seed = trail.vault.purpose_key(connection, SIGNING_PURPOSE)
        insert_checkpoint(connection, sign_checkpoint(seed, 4, "ab" * 32, 1))

    finding = await finding_after(trail, lambda c: prune(c, "cd" * 32))
    assert finding == TrailFinding(0, 5, TamperReason.CHECKPOINT_DIFFERS)


@pytest.mark.parametrize(
    ("sequence", "chain_hash", "expected"),
    [
        (2, None, TrailFinding(3, 3, TamperReason.INSERTED)),
        (3, "ab" * 32, TrailFinding(3, None, TamperReason.HEAD_CHANGED)),
    ],
)
async def test_records_that_the_head_knows_nothing_of_are_told(
    database: Database,
    clock: FrozenClock,
    sequence: int,
    chain_hash: str | None,
    expected: TrailFinding,
) -> None:
    """A head of an earlier moment was put back, or one of another trail with the same key."""
    trail = await started_trail(database, clock, 3)
    key = trail.audit.chain_key()

    def put_back(connection: Connection) -> None:
        kept = select(audit_events.c.chain_hash).where(sequence_column == sequence)
        known = connection.execute(kept).scalar_one()
        move_head(
            connection, key, replace(EMPTY_HEAD, sequence=sequence, chain_hash=chain_hash or known)
        )

    assert await finding_after(trail, put_back) == expected
