"""What is past its time goes, in small steps that lose no count. Spec: 262-264."""

import json
from typing import Any

import pytest

from bennu.audit.verify import verify_trail
from bennu.kernel.errors import UnavailableError
from bennu.privacy.holds import HoldDraft
from bennu.privacy.lease import Lease
from bennu.privacy.retention import PolicyDraft, Rule
from bennu.privacy.sweep import RetentionSweep
from bennu.storage.database import Connection, Database
from bennu.storage.schema import audit_events, retention_sweeps, spans, trace_sessions, traces
from bennu.traces.traces.removal import Removed
from fakes.clock import FrozenClock
from fakes.retained import DAY, OPERATOR, Retained, no_pause, retained
from fakes.spans import make_span, trace_id

pytestmark = pytest.mark.anyio
HOUR = 3_600


@pytest.fixture
async def kept(database: Database, clock: FrozenClock) -> Retained:
    return await retained(database, clock)


async def numbers(kept: Retained) -> list[int]:
    return [int.from_bytes(row["trace_id"], "big") for row in await kept.stored.rows(traces)]


async def swept_records(kept: Retained) -> list[dict[str, Any]]:
    rows = await kept.stored.rows(audit_events)
    return [json.loads(row["after"]) for row in rows if row["event"] == "retention.swept"]


async def swept_names(kept: Retained) -> list[str]:
    rows = await kept.stored.rows(audit_events)
    records = [row for row in rows if row["event"] == "retention.swept"]
    return [json.loads(row["personal"])["target_name"] for row in records]


@pytest.mark.asvs("14.2.4")
async def test_the_default_policy_deletes_by_age_and_records_it(kept: Retained) -> None:
    old = [kept.aged(n, 91 + n, session_id="old") for n in range(1, 41)]
    await kept.stored.add("p", *old, kept.aged(50, 89, session_id="new"), kept.aged(51, 0))
    await kept.sweep.begin(90)
    assert await kept.sweep.sweep_due_policies() == 40
    assert await numbers(kept) == [50, 51]
    assert await kept.stored.count(spans) == 2
    assert [row["session_id"] for row in await kept.stored.rows(trace_sessions)] == ["new"]
    (record,) = await swept_records(kept)
    assert record["deleted"] == {"traces": 40, "spans": 40, "sessions": 1}
    assert record["policy"] == "Default"
    assert record["cutoff_utc"].startswith("2025-10-04")
    assert await kept.stored.count(retention_sweeps) == 0
    assert (await kept.database.read(lambda c: verify_trail(c, kept.trail.vault))).ok
    assert kept.sweep.numbers == {"traces": 40, "spans": 40, "runs": 1}


async def test_it_runs_hourly_and_a_missed_hour_is_caught_up(kept: Retained) -> None:
    await kept.stored.add("p", kept.aged(1, 9.99), kept.aged(2, 9.5))
    await kept.sweep.begin(10)
    assert await kept.sweep.sweep_due_policies() == 0  # not old enough yet
    kept.clock.advance(60)
    assert await kept.sweep.sweep_due_policies() == 0  # not due yet
    kept.clock.advance(HOUR)
    assert await kept.sweep.sweep_due_policies() == 1
    kept.clock.advance(3 * DAY)
    assert await kept.sweep.sweep_due_policies() == 1


async def test_zero_keeps_everything(kept: Retained) -> None:
    await kept.stored.add("p", kept.aged(1, 10_000))
    await kept.sweep.begin(0)
    assert await kept.sweep.sweep_due_policies() == 0
    assert await numbers(kept) == [1]


async def test_another_value_of_the_variable_counts_from_the_next_start(kept: Retained) -> None:
    await kept.stored.add("p", kept.aged(1, 100), kept.aged(2, 50), kept.aged(3, 5))
    for days, left in ((90, [2, 3]), (30, [3]), (0, [3]), (1, [])):
        await kept.sweep.begin(days)
        await kept.sweep.sweep_due_policies()
        assert await numbers(kept) == left


async def test_the_newest_so_many_stay(kept: Retained) -> None:
    await kept.sweep.begin(0)
    made = await kept.policies.create_policy(
        OPERATOR, PolicyDraft("newest", "0 0 * * 0", Rule(max_count=3))
    )
    await kept.stored.add("p", *(kept.aged(n, n) for n in range(1, 9)))
    await kept.stored.add("q", *(kept.aged(n, n) for n in range(1, 9)))
    await kept.policies.assign_policy(OPERATOR, "p", made.policy.public_id)
    assert await kept.sweep.sweep_due_policies() == 5
    assert await numbers(kept) == [1, 2, 3, *range(1, 9)]


async def test_by_age_or_count_whichever_is_met_first(kept: Retained) -> None:
    await kept.sweep.begin(0)
    for name, rule in (("a", Rule(5, 6)), ("b", Rule(5, 3))):
        draft = PolicyDraft(name, "0 0 * * 0", rule)
        made = await kept.policies.create_policy(OPERATOR, draft)
        await kept.stored.add(name, *(kept.aged(n, n + 0.5) for n in range(1, 9)))
        await kept.policies.assign_policy(OPERATOR, name, made.policy.public_id)
    await kept.sweep.sweep_due_policies()
    assert await numbers(kept) == [1, 2, 3, 4, 1, 2, 3]


@pytest.mark.parametrize("what", ["project", "session", "trace"])
async def test_what_is_held_stays_until_it_is_released(kept: Retained, what: str) -> None:
    await kept.stored.add("p", *(kept.aged(n, 50 + n, session_id=f"s{n}") for n in range(1, 6)))
    session = "s2" if what == "session" else None
    trace = trace_id(2).hex() if what == "trace" else None
    hold = await kept.holds.set_hold(OPERATOR, HoldDraft("p", session, trace, "a law suit"))
    await kept.sweep.begin(10)
    gone = await kept.sweep.sweep_due_policies()
    assert await numbers(kept) == ([1, 2, 3, 4, 5] if what == "project" else [2])
    assert gone == (0 if what == "project" else 4)
    foreseen = {one.project.name: one for one in await kept.policies.foresee(OPERATOR)}["p"]
    assert (foreseen.traces, foreseen.held_traces) == (0, 5 if what == "project" else 1)
    (listed,) = await kept.holds.list_holds(OPERATOR)
    assert (listed.row_id, listed.reason) == (hold.row_id, "a law suit")
    await kept.holds.release_hold(OPERATOR, "TGVnYWxIb2xkOjE=")
    kept.clock.advance(HOUR)
    await kept.sweep.sweep_due_policies()
    assert await numbers(kept) == []


async def test_a_trace_too_large_for_one_step_goes_in_parts(kept: Retained) -> None:
    large = kept.aged(1, 50)
    await kept.stored.add("p", large)
    many = [make_span(n, trace=1, start_ns=large.start_ns, end_ns=1) for n in range(2, 2_602)]
    await kept.stored.add("p", *many)
    await kept.sweep.begin(10)
    assert await kept.sweep.sweep_due_policies() == 1
    assert await kept.stored.count(spans) == 0
    (record,) = await swept_records(kept)
    assert record["deleted"] == {"traces": 1, "spans": 2_601, "sessions": 0}


async def test_one_process_at_a_time(kept: Retained, database: Database) -> None:
    await kept.stored.add("p", kept.aged(1, 50))
    await kept.sweep.begin(10)
    elsewhere = Lease("retention", "elsewhere", kept.clock)
    assert await database.write(elsewhere.take)
    assert await kept.sweep.sweep_due_policies() == 0
    kept.clock.advance(20)  # that process died
    assert await kept.sweep.sweep_due_policies() == 1


async def test_a_lost_lease_ends_the_run_and_it_is_done_later(kept: Retained) -> None:
    await kept.stored.add("p", kept.aged(1, 50))
    await kept.sweep.begin(10)

    class Taken(Lease):
        def prove(self, connection: Connection) -> None:
            self.give_back(connection)
            Lease("retention", "elsewhere", kept.clock).take(connection)
            super().prove(connection)

    lease = Taken("retention", "here", kept.clock)
    sweep = RetentionSweep(kept.database, kept.trail.audit, kept.policies, lease, no_pause)
    assert await sweep.sweep_due_policies() == 0
    assert await numbers(kept) == [1]
    kept.clock.advance(20)
    assert await kept.sweep.sweep_due_policies() == 1


async def test_a_kill_between_steps_loses_no_count(kept: Retained) -> None:
    """The deletion of a killed run is recorded by the next one, and what is left goes."""
    await kept.stored.add("p", *(kept.aged(n, 50 + n) for n in range(1, 301)))
    await kept.sweep.begin(10)
    steps = 0

    async def dies(_: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise KeyboardInterrupt

    killed = RetentionSweep(kept.database, kept.trail.audit, kept.policies, kept.lease, sleep=dies)
    with pytest.raises(KeyboardInterrupt):
        await killed.sweep_due_policies()
    left = await kept.stored.count(traces)
    assert 0 < left < 300
    assert await swept_records(kept) == []
    assert await kept.sweep.sweep_due_policies() == left
    assert sum(record["deleted"]["traces"] for record in await swept_records(kept)) == 300
    assert await swept_names(kept) == ["p", "p"]


async def test_one_failing_project_does_not_stop_the_others(kept: Retained) -> None:
    await kept.stored.add("a", kept.aged(1, 50))
    await kept.stored.add("b", kept.aged(2, 50))
    await kept.sweep.begin(10)
    record = kept.trail.audit.record
    failed: list[str] = []

    def failing(connection: Connection, event: Any, caller: Any, count: int = 1) -> None:
        if event.target.name == "a" and not failed:
            failed.append("a")
            raise UnavailableError("not now")
        record(connection, event, caller, count)

    kept.trail.audit.record = failing  # type: ignore[method-assign]
    assert await kept.sweep.sweep_due_policies() == 2
    assert kept.sweep.numbers["failures"] == 1
    # Not finished, so it is due again, and what was deleted is recorded then.
    await kept.sweep.sweep_due_policies()
    assert len(await swept_records(kept)) == 2


async def test_a_removed_count_has_the_names_of_the_record() -> None:
    assert set(Removed()._asdict()) == {"traces", "spans", "sessions"}
