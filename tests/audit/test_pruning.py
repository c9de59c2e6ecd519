"""Old records go, the chain stays verifiable, and what was tampered with stays. Spec: 256-264."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update

from bennu.audit.log import BrokenTrailError
from bennu.audit.pruning import AuditPruning
from bennu.audit.verify import TamperReason, TrailFinding, verify_trail
from bennu.kernel.errors import UnavailableError
from bennu.storage.database import Database
from bennu.storage.schema import audit_checkpoints, audit_events, audit_head
from fakes.clock import FrozenClock
from fakes.trail import Trail, started_trail

pytestmark = pytest.mark.anyio
DAY = 86_400
RETENTION = timedelta(days=400)
BATCH = 20
OLD = BATCH + 3


@pytest.fixture
async def trail(database: Database, clock: FrozenClock) -> Trail:
    """Records of a day that is over, and 5 of a year later."""
    trail = await started_trail(database, clock, OLD)
    clock.advance(300 * DAY)
    await trail.write(5)
    return trail


def pruning_of(trail: Trail) -> AuditPruning:
    return AuditPruning(trail.database, trail.clock, trail.audit, RETENTION, batch_records=BATCH)


async def verified(trail: Trail) -> TrailFinding:
    return await trail.database.read(lambda c: verify_trail(c, trail.vault))


async def newest(trail: Trail) -> dict[str, Any]:
    statement = select(audit_events).order_by(audit_events.c.sequence.desc()).limit(1)
    return dict(await trail.database.read(lambda c: c.execute(statement).mappings().one()))


async def test_nothing_goes_before_its_time(trail: Trail) -> None:
    trail.clock.advance(100 * DAY)
    assert await pruning_of(trail).prune_old_records() == 0
    assert await verified(trail) == TrailFinding(OLD + 5)


async def test_what_is_too_old_goes_and_the_rest_verifies(trail: Trail) -> None:
    await trail.audit.keep_checkpoint()
    trail.clock.advance(100 * DAY + 1)
    pruning = pruning_of(trail)
    assert await pruning.prune_old_records() == OLD
    # The five, and the record of the pruning itself.
    assert await trail.sequences() == list(range(OLD + 1, OLD + 7))
    assert await verified(trail) == TrailFinding(6)
    record = await newest(trail)
    assert (record["event"], record["target_kind"]) == ("retention.swept", "audit")
    assert (record["actor_kind"], f'"deleted":{OLD}' in record["after"]) == ("server", True)
    assert await pruning.prune_old_records() == 0
    await trail.write(2)
    assert await verified(trail) == TrailFinding(8)


async def test_everything_may_go(trail: Trail) -> None:
    trail.clock.advance(1_000 * DAY)
    assert await pruning_of(trail).prune_old_records() == OLD + 5
    assert await trail.sequences() == [OLD + 6]
    assert await verified(trail) == TrailFinding(1)


async def test_checkpoints_of_deleted_records_go_and_later_ones_still_vouch(trail: Trail) -> None:
    def stored(connection: Connection) -> list[int]:
        return list(connection.execute(select(audit_checkpoints.c.sequence)).scalars())

    await trail.audit.keep_checkpoint()
    await trail.write(1)
    exported = await trail.audit.keep_checkpoint()
    assert await trail.database.read(stored) == [OLD + 5, OLD + 6]
    trail.clock.advance(100 * DAY + 1)
    await pruning_of(trail).prune_old_records()
    assert await trail.database.read(stored) == [OLD + 5, OLD + 6]
    trail.clock.advance(301 * DAY)
    await pruning_of(trail).prune_old_records()
    # The checkpoint of the record just before the first that is kept still proves something.
    assert await trail.database.read(stored) == [OLD + 6]
    finding = await trail.database.read(lambda c: verify_trail(c, trail.vault, exported))
    assert finding == TrailFinding(2)


async def test_deleting_by_hand_is_no_pruning(trail: Trail) -> None:
    """Who cannot make the MAC cannot pretend that the server pruned."""

    def by_hand(connection: Connection) -> None:
        connection.execute(audit_events.delete().where(audit_events.c.sequence <= 2))
        kept = select(audit_events.c.chain_hash).where(audit_events.c.sequence == 3)
        base = connection.execute(kept).scalar_one()
        connection.execute(update(audit_head).values(first_sequence=4, base_hash=base))

    await trail.database.write(by_hand)
    finding = await verified(trail)
    assert not finding.ok
    trail.clock.advance(1_000 * DAY)
    with pytest.raises(BrokenTrailError):
        await pruning_of(trail).prune_old_records()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"outcome": "denied"}, TamperReason.CHANGED),
        ({"personal": "{}"}, TamperReason.PERSONAL_CHANGED),
        ({"sequence": 1_000_000}, TamperReason.REMOVED),
    ],
)
async def test_what_was_tampered_with_is_kept_as_evidence(
    trail: Trail, change: dict[str, Any], reason: TamperReason
) -> None:
    changed = update(audit_events).where(audit_events.c.sequence == 7).values(change)
    await trail.database.write(lambda c: c.execute(changed))
    trail.clock.advance(1_000 * DAY)
    with pytest.raises(BrokenTrailError) as caught:
        await pruning_of(trail).prune_old_records()
    assert f"record 7 {reason}" in caught.value.detail
    assert len(await trail.sequences()) == OLD + 5
    assert (await verified(trail)).first_bad_sequence == 7


async def test_on_a_full_disk_it_deletes_first_and_records_when_it_can(trail: Trail) -> None:
    is_sqlite = trail.database.dialect == "sqlite"
    full = (
        "CREATE TRIGGER full BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'full'); END"
        if is_sqlite
        else "ALTER TABLE audit_events ADD CONSTRAINT full_disk CHECK (sequence < 0) NOT VALID"
    )
    healed = (
        "DROP TRIGGER full" if is_sqlite else "ALTER TABLE audit_events DROP CONSTRAINT full_disk"
    )
    await trail.database.write(lambda c: c.execute(text(full)))
    trail.clock.advance(100 * DAY + 1)
    pruning = pruning_of(trail)
    with pytest.raises(UnavailableError):
        await pruning.prune_old_records()
    assert len(await trail.sequences()) == 5
    assert (await verified(trail)).ok
    await trail.database.write(lambda c: c.execute(text(healed)))
    assert await pruning.prune_old_records() == 0
    assert f'"deleted":{OLD}' in (await newest(trail))["after"]
    assert await verified(trail) == TrailFinding(6)
