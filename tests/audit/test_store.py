"""The rows of the trail: head, records, checkpoints, and what an erasure takes. Spec: 256-265."""

import pytest
from sqlalchemy import Connection, select, update

from bennu.audit.chain import GENESIS_HASH
from bennu.audit.checkpoint import Checkpoint
from bennu.audit.store import (
    CHAIN_PURPOSE,
    EMPTY_HEAD,
    any_trace_of_a_trail,
    checkpoint_at,
    delete_records_until,
    drop_personal_fields,
    insert_checkpoint,
    move_head,
    newest_place,
    purpose_key_exists,
    read_head,
    records_after,
    records_page,
    stored_checkpoints,
)
from bennu.audit.verify import TrailFinding, verify_trail
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, audit_head
from fakes.clock import FrozenClock
from fakes.trail import CALLER, started_trail

pytestmark = pytest.mark.anyio
KEY = bytes(32)


async def test_a_head_is_known_by_its_mac(database: Database, clock: FrozenClock) -> None:
    trail = await started_trail(database, clock, 2)
    key = trail.audit.chain_key()
    good = await database.read(lambda c: read_head(c, key))
    assert good is not None
    assert (good.sequence, good.first_sequence, good.is_authentic) == (2, 1, True)
    other_key = await database.read(lambda c: read_head(c, KEY))
    assert other_key is not None
    assert not other_key.is_authentic
    await database.write(lambda c: c.execute(update(audit_head).values(sequence=1)))
    changed = await database.read(lambda c: read_head(c, key))
    assert changed is not None
    assert not changed.is_authentic
    # Moving it on does not make it good.
    await database.write(lambda c: move_head(c, key, changed))
    again = await database.read(lambda c: read_head(c, key))
    assert again is not None
    assert not again.is_authentic


async def test_the_newest_place_vouches_for_nothing(database: Database, clock: FrozenClock) -> None:
    trail = await started_trail(database, clock)
    empty = await database.read(newest_place)
    assert (empty.sequence, empty.chain_hash, empty.is_authentic) == (0, GENESIS_HASH, False)
    assert EMPTY_HEAD.is_authentic
    assert not await database.read(any_trace_of_a_trail)
    await trail.write(3)
    found = await database.read(newest_place)
    assert (found.sequence, found.first_sequence, found.is_authentic) == (3, 1, False)
    assert await database.read(any_trace_of_a_trail)
    assert await database.read(lambda c: purpose_key_exists(c, CHAIN_PURPOSE))
    assert not await database.read(lambda c: purpose_key_exists(c, "another"))


async def test_records_are_read_in_order_whatever_the_page(
    database: Database, clock: FrozenClock
) -> None:
    await started_trail(database, clock, 7)

    def read(connection: Connection) -> list[list[int]]:
        pages = (
            records_page(connection, None, 3),
            records_page(connection, 3, 100),
            list(records_after(connection, None)),
            list(records_after(connection, 5)),
        )
        return [[row["sequence"] for row in page] for page in pages]

    assert await database.read(read) == [[1, 2, 3], [4, 5, 6, 7], list(range(1, 8)), [6, 7]]


async def test_checkpoints_are_kept_by_place(database: Database, clock: FrozenClock) -> None:
    await started_trail(database, clock, 5)
    kept = [Checkpoint(place, "ab", place, "s") for place in (2, 4, 5)]

    def work(connection: Connection) -> tuple[list[Checkpoint], Checkpoint | None]:
        for checkpoint in reversed(kept):
            insert_checkpoint(connection, checkpoint)
        return stored_checkpoints(connection), checkpoint_at(connection, 3)

    assert await database.write(work) == (kept, None)
    await database.write(lambda c: delete_records_until(c, 4))
    assert await database.read(stored_checkpoints) == kept[1:]
    assert await database.read(lambda c: checkpoint_at(c, 4)) == kept[1]


async def test_an_erasure_takes_names_and_leaves_what_happened(
    database: Database, clock: FrozenClock
) -> None:
    """Line 265. The person of the records is their actor; record 2 has user 1 as its target."""
    trail = await started_trail(database, clock, 3)
    assert await database.write(lambda c: drop_personal_fields(c, "1")) == 1
    personal = select(audit_events.c.personal, audit_events.c.personal_salt)
    ordered = personal.order_by(audit_events.c.sequence)
    rows = await database.read(lambda c: [tuple(row) for row in c.execute(ordered)])
    assert rows[1] == (None, None)
    assert None not in (*rows[0], *rows[2])
    assert await database.write(lambda c: drop_personal_fields(c, "1")) == 0
    assert await database.write(lambda c: drop_personal_fields(c, "nobody")) == 0
    actor = CALLER.principal.public_id
    assert await database.write(lambda c: drop_personal_fields(c, actor)) == 2
    events = select(audit_events.c.event, audit_events.c.actor_id)
    assert set(await database.read(lambda c: [tuple(r) for r in c.execute(events)])) == {
        ("user.changed", actor)
    }
    assert await database.read(lambda c: verify_trail(c, trail.vault)) == TrailFinding(3)
