"""Records are written with their change, chained, folded and logged."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Delete, Update, delete, func, select, text, update

from bennu.access import SERVER, Caller, Principal, PrincipalKind
from bennu.audit.chain import CHAINED_FIELDS, GENESIS_HASH, chain_hash_of, personal_hash_of
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.folding import FOLD_SECONDS
from bennu.audit.log import NOT_RECORDED, AuditLog, BrokenTrailError
from bennu.audit.store import CHAIN_PURPOSE
from bennu.audit.verify import TamperReason, verify_trail
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.kernel.errors import UnavailableError
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, audit_head, meta
from fakes.clock import FrozenClock

pytestmark = pytest.mark.anyio
CALLER = Caller(
    Principal(PrincipalKind.USER, "VXNlcjox", "ann@example.com", session_id=1),
    "192.0.2.7",
    "agent\r\nforged: line",
    "r1",
)
CREATED = AuditEvent(EventName.USER_CREATED, target=Target("user", "VXNlcjoy", "bob"))
FAILED = AuditEvent(EventName.SIGN_IN_FAILED, Outcome.FAILED, "wrong_password", Target("user"))
KEYRING = Keyring.from_secrets(Secret("0123456789abcdef0123456789abcdef"))


@pytest.fixture
async def vault(clock: FrozenClock) -> Vault:
    return Vault(Cipher(KEYRING), clock, SystemEntropy())


@pytest.fixture
async def audit(database: Database, clock: FrozenClock, vault: Vault) -> AuditLog:
    log = AuditLog(database, clock, SystemEntropy(), vault)
    await log.start()
    return log


async def rows_of(database: Database) -> list[dict[str, Any]]:
    def work(connection: Connection) -> list[dict[str, Any]]:
        statement = select(audit_events).order_by(audit_events.c.sequence)
        return [dict(row) for row in connection.execute(statement).mappings()]

    return await database.read(work)


async def test_records_form_one_chain(database: Database, audit: AuditLog, vault: Vault) -> None:
    for _ in range(3):
        await database.write(lambda c: audit.record(c, CREATED, CALLER))
    key = await database.read(lambda c: vault.purpose_key(c, CHAIN_PURPOSE))
    previous = GENESIS_HASH
    rows = await rows_of(database)
    assert [row["sequence"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row["chain_hash"] == chain_hash_of(key, previous, row)
        assert row["personal_hash"] == personal_hash_of(row["personal_salt"], row["personal"])
        previous = row["chain_hash"]
    head = await database.read(lambda c: c.execute(select(audit_head)).mappings().one())
    assert (head["sequence"], head["chain_hash"]) == (3, previous)


async def test_parallel_records_leave_one_chain(database: Database, audit: AuditLog) -> None:
    await asyncio.gather(
        *(database.write(lambda c: audit.record(c, CREATED, CALLER)) for _ in range(20))
    )
    assert [row["sequence"] for row in await rows_of(database)] == list(range(1, 21))


async def test_a_change_that_fails_leaves_neither_record_nor_line(
    database: Database, audit: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(connection: Connection) -> None:
        audit.record(connection, CREATED, CALLER)
        raise RuntimeError("the change failed")

    with caplog.at_level(logging.INFO, "bennu.audit"):
        with pytest.raises(RuntimeError):
            await database.write(fails)
        assert await rows_of(database) == []
        assert caplog.records == []
        await database.write(lambda c: audit.record(c, CREATED, CALLER))
        assert [record.message for record in caplog.records] == ["user.created"]


async def test_personal_fields_stand_apart_and_not_in_the_line(
    database: Database, audit: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bennu.audit"):
        await database.write(lambda c: audit.record(c, CREATED, CALLER))
    (row,) = await rows_of(database)
    personal = json.loads(row["personal"])
    assert personal["actor_name"] == "ann@example.com"
    assert personal["user_agent"] == "agent\r\nforged: line"
    chained = {name: row[name] for name in CHAINED_FIELDS}
    assert "ann@example.com" not in str(chained)
    assert "ann@example.com" not in str(vars(caplog.records[0]))


async def test_a_burst_is_one_record_and_one_more_with_the_count(
    database: Database, audit: AuditLog, clock: FrozenClock
) -> None:
    for _ in range(50):
        await audit.note(FAILED, CALLER)
    await audit.flush_folded()
    assert [row["count"] for row in await rows_of(database)] == [1]
    clock.advance(FOLD_SECONDS)
    await audit.flush_folded()
    assert [row["count"] for row in await rows_of(database)] == [1, 49]


async def test_what_is_pending_is_written_at_the_end(database: Database, audit: AuditLog) -> None:
    for _ in range(3):
        await audit.note(FAILED, Caller(SERVER))
    await audit.flush_folded(all_bursts=True)
    assert [row["count"] for row in await rows_of(database)] == [1, 2]


async def test_what_is_pending_survives_whoever_stops_waiting_for_it(
    database: Database, audit: AuditLog, clock: FrozenClock
) -> None:
    for number in range(110):
        for _ in range(2):
            await audit.note(FAILED, replace(CALLER, address=f"192.0.2.{number}"))
    clock.advance(FOLD_SECONDS)
    tick = asyncio.create_task(audit.flush_folded())
    await asyncio.sleep(0)  # it has begun
    tick.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tick
    await audit.flush_folded(all_bursts=True)
    assert sum(row["count"] for row in await rows_of(database)) == 220


# --- when something is wrong -------------------------------------------------------------------


def break_inserts(connection: Connection) -> None:
    """Make the table of records take no more rows."""
    is_sqlite = connection.dialect.name == "sqlite"
    statement = (
        "CREATE TRIGGER full_disk BEFORE INSERT ON audit_events "
        "BEGIN SELECT RAISE(ABORT, 'full'); END"
        if is_sqlite
        else "ALTER TABLE audit_events ADD CONSTRAINT full_disk CHECK (sequence < 0) NOT VALID"
    )
    connection.execute(text(statement))


def mend_inserts(connection: Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    drop = "ALTER TABLE audit_events DROP CONSTRAINT full_disk"
    connection.execute(text("DROP TRIGGER full_disk" if is_sqlite else drop))


async def test_without_its_record_a_change_does_not_happen(
    database: Database, audit: AuditLog
) -> None:
    await database.write(break_inserts)

    def work(connection: Connection) -> None:
        connection.execute(meta.insert().values(name="changed", value="x"))
        audit.record(connection, CREATED, CALLER)

    with pytest.raises(UnavailableError) as caught:
        await database.write(work)
    assert (caught.value.public, caught.value.retry_after_seconds) == (NOT_RECORDED, 5)
    count = select(func.count()).select_from(meta).where(meta.c.name == "changed")
    assert await database.read(lambda c: c.execute(count).scalar_one()) == 0


async def test_events_that_could_not_be_recorded_are_counted_until_they_can(
    database: Database, audit: AuditLog, clock: FrozenClock
) -> None:
    await database.write(break_inserts)
    with pytest.raises(UnavailableError):
        await audit.note(CREATED, CALLER)
    assert audit.waiting_events == 0  # a change that did not happen
    with pytest.raises(UnavailableError):
        await audit.note(FAILED, CALLER)
    for _ in range(4):
        await audit.note(FAILED, CALLER)
    assert audit.waiting_events == 5
    clock.advance(FOLD_SECONDS)
    assert audit.lag_seconds == FOLD_SECONDS
    with pytest.raises(UnavailableError):
        await audit.flush_folded()
    with pytest.raises(UnavailableError):
        await audit.note(FAILED, CALLER)
    assert audit.waiting_events == 6
    await database.write(mend_inserts)
    await audit.flush_folded(all_bursts=True)
    assert [row["count"] for row in await rows_of(database)] == [6]
    assert (audit.waiting_events, audit.lag_seconds) == (0, 0)


async def test_whoever_listens_hears_of_what_is_in_the_trail(
    database: Database, audit: AuditLog
) -> None:
    heard: list[tuple[str, int]] = []
    audit.on_recorded = lambda event, count: heard.append((event.name, count))
    await database.write(lambda c: audit.record(c, CREATED, CALLER, 3))

    def fails(connection: Connection) -> None:
        audit.record(connection, CREATED, CALLER)
        raise KeyError("the change failed")

    with pytest.raises(KeyError):
        await database.write(fails)
    assert heard == [("user.created", 3)]


async def test_a_trail_that_was_not_started_records_nothing(
    database: Database, clock: FrozenClock, vault: Vault
) -> None:
    unstarted = AuditLog(database, clock, SystemEntropy(), vault)
    with pytest.raises(RuntimeError, match="not started"):
        await database.write(lambda c: unstarted.record(c, CREATED, CALLER))


@pytest.mark.parametrize("change", [update(audit_head).values(mac="forged"), delete(audit_head)])
async def test_a_head_that_was_touched_is_told_and_never_made_good(
    database: Database,
    audit: AuditLog,
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
    change: Update | Delete,
) -> None:
    """The server goes on, every verification finds it, nothing is signed any more."""
    await database.write(lambda c: audit.record(c, CREATED, CALLER))
    await database.write(lambda c: c.execute(change))
    with caplog.at_level(logging.INFO, "bennu.audit"):
        for _ in range(2):
            await database.write(lambda c: audit.record(c, CREATED, CALLER))
    assert [r.message for r in caplog.records].count("audit.head.changed") == 2
    assert [row["sequence"] for row in await rows_of(database)] == [1, 2, 3]
    finding = await database.read(lambda c: verify_trail(c, vault))
    assert (finding.records, finding.reason) == (3, TamperReason.HEAD_CHANGED)
    with pytest.raises(BrokenTrailError):
        await audit.keep_checkpoint()
    with pytest.raises(BrokenTrailError):
        await audit.exported_checkpoint()


async def test_a_head_that_is_missing_at_start_was_taken_away(
    database: Database,
    audit: AuditLog,
    clock: FrozenClock,
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await database.write(lambda c: audit.record(c, CREATED, CALLER))
    await database.write(lambda c: c.execute(delete(audit_head)))
    with caplog.at_level(logging.INFO, "bennu.audit"):
        await AuditLog(database, clock, SystemEntropy(), vault).start()
    assert [record.message for record in caplog.records] == ["audit.head.removed"]
    finding = await database.read(lambda c: verify_trail(c, vault))
    assert finding.reason is TamperReason.HEAD_CHANGED


async def test_long_texts_are_cut_and_what_is_too_large_is_left_out(
    database: Database, audit: AuditLog, vault: Vault
) -> None:
    caller = Caller(Principal(PrincipalKind.USER, "VXNlcjox", "n" * 600), "a", "u" * 600 + "\0")
    large = AuditEvent(EventName.SETTINGS_CHANGED, after={"hostname": "h" * 5_000})
    await database.write(lambda c: audit.record(c, large, caller))
    (row,) = await rows_of(database)
    personal = json.loads(row["personal"])
    assert (len(personal["actor_name"]), len(personal["user_agent"])) == (512, 512)
    assert json.loads(row["after"]) == {"omitted": "too large"}
    assert (await database.read(lambda c: verify_trail(c, vault))).ok
