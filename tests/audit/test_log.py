"""Records are written with their change, chained, folded and logged."""

import asyncio
import json
import logging
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bennu.access import SERVER, Caller, Principal, PrincipalKind
from bennu.audit.chain import CHAINED_FIELDS, GENESIS_HASH, chain_hash_of, personal_hash_of
from bennu.audit.events import AuditEvent, EventName, Outcome, Target
from bennu.audit.folding import FOLD_SECONDS
from bennu.audit.log import AuditLog
from bennu.audit.store import CHAIN_PURPOSE
from bennu.encryption.cipher import Cipher, Keyring
from bennu.encryption.vault import Vault
from bennu.kernel.ids import SystemEntropy
from bennu.kernel.secret import Secret
from bennu.storage.database import Database
from bennu.storage.schema import audit_events, audit_head
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
