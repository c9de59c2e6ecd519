import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from bennu.kernel.errors import UnavailableError
from bennu.kernel.secret import Secret
from bennu.storage.database import Database, Lane
from bennu.storage.epoch import move_security_epoch
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from peers.postgres import OWNER_PASSWORD, PostgresServer, with_postgres


@pytest.fixture
async def postgres(
    migrated_postgres_settings: StorageSettings, clock: FrozenClock
) -> AsyncIterator[Database]:
    database = Database(migrated_postgres_settings, clock)
    await database.start()
    yield database
    await database.stop()


def scalar(statement: str) -> object:
    return lambda connection: connection.execute(text(statement)).scalar()


async def start_with_full_pool(settings: StorageSettings, clock: FrozenClock) -> Database:
    database = Database(settings, clock)
    await database.start()
    await migrate(database, settings)
    # Every one of these connections must be noticed as dead later.
    await asyncio.gather(*(database.read(scalar("SELECT pg_sleep(0.1)")) for _ in range(6)))
    await database.write(move_security_epoch, lane=Lane.INGEST)
    return database


@pytest.fixture
def restartable_settings(own_postgres_server: PostgresServer, tmp_path: Path) -> StorageSettings:
    own_postgres_server.sql("GRANT CREATE ON SCHEMA public TO public")
    return StorageSettings(
        working_dir=tmp_path,
        dialect="postgresql",
        postgres=own_postgres_server.settings_for("postgres"),
    )


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_the_next_call_after_a_restart_works(
    own_postgres_server: PostgresServer,
    restartable_settings: StorageSettings,
    clock: FrozenClock,
    mode: str,
) -> None:
    server = own_postgres_server
    database = await start_with_full_pool(restartable_settings, clock)
    await asyncio.to_thread(server.stop, mode)
    await asyncio.to_thread(server.start)
    # Nobody asked anything while it was away.
    assert await database.security_epoch() == 1
    await database.write(move_security_epoch, lane=Lane.INGEST)
    assert await database.read(scalar("SELECT value FROM security_epoch")) == 2
    await database.stop()


async def test_while_it_is_away_everything_is_unavailable(
    own_postgres_server: PostgresServer,
    restartable_settings: StorageSettings,
    clock: FrozenClock,
) -> None:
    server = own_postgres_server
    database = await start_with_full_pool(restartable_settings, clock)
    running = asyncio.create_task(database.write(scalar("SELECT pg_sleep(30)")))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(server.stop)
    with pytest.raises(UnavailableError) as cut_off:
        await running
    assert cut_off.value.retry_after_seconds
    for lane in Lane:
        with pytest.raises(UnavailableError) as caught:
            await database.write(move_security_epoch, lane=lane)
        assert str(server.port) not in caught.value.public
    with pytest.raises(UnavailableError):
        await database.security_epoch()
    with pytest.raises(UnavailableError):
        await database.read(scalar("SELECT 1"))
    await asyncio.to_thread(server.start)
    assert await database.security_epoch() == 1
    await database.stop()


async def test_a_commit_that_is_answered_survives_a_crash_of_the_server(
    own_postgres_server: PostgresServer,
    restartable_settings: StorageSettings,
    clock: FrozenClock,
) -> None:
    server = own_postgres_server
    server.sql("ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()")
    database = await start_with_full_pool(restartable_settings, clock)
    committed = await database.security_epoch()
    for _ in range(50):
        await database.write(move_security_epoch)
        committed += 1
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.to_thread(server.start)
    assert await database.security_epoch() == committed
    await database.stop()


async def test_nobody_there_is_unavailable_at_start(
    postgres_settings: StorageSettings, clock: FrozenClock
) -> None:
    database = Database(with_postgres(postgres_settings, port=1), clock)
    with pytest.raises(UnavailableError):
        await database.start()
    await asyncio.sleep(0.1)  # the driver closes a refused connection in the background
    await database.stop()


async def test_a_wrong_password_is_unavailable_and_not_repeated(
    postgres_settings: StorageSettings, clock: FrozenClock
) -> None:
    wrong = with_postgres(postgres_settings, password=Secret("wrong-and-secret"))
    database = Database(wrong, clock)
    with pytest.raises(UnavailableError) as caught:
        await database.start()
    await asyncio.sleep(0.1)  # the driver closes a refused connection in the background
    assert "password authentication failed" in caught.value.detail
    assert "wrong-and-secret" not in repr(caught.value.detail) + repr(caught.value.__cause__)
    await database.stop()


async def test_a_missing_database_is_unavailable(
    postgres_settings: StorageSettings, clock: FrozenClock
) -> None:
    database = Database(with_postgres(postgres_settings, database="nowhere"), clock)
    with pytest.raises(UnavailableError) as caught:
        await database.start()
    await asyncio.sleep(0.1)  # the driver closes a refused connection in the background
    assert "nowhere" in caught.value.detail
    await database.stop()


async def test_the_password_is_asked_for_anew_for_each_connection(
    postgres_settings: StorageSettings, clock: FrozenClock
) -> None:
    passwords = ["expired", OWNER_PASSWORD, OWNER_PASSWORD]
    asked: list[str] = []

    def source() -> str:
        asked.append(passwords.pop(0))
        return asked[-1]

    database = Database(
        with_postgres(postgres_settings, password=None), clock, password_source=source
    )
    with pytest.raises(UnavailableError):
        await database.start()
    await asyncio.sleep(0.1)  # the driver closes a refused connection in the background
    await database.start()
    await database.write(scalar("SELECT 1"), lane=Lane.INGEST)
    assert asked == ["expired", OWNER_PASSWORD, OWNER_PASSWORD]
    await database.read(scalar("SELECT 1"))  # over a connection that is there already
    await database.stop()


@pytest.mark.parametrize("schema", ["tenant_1", 'Odd "Schema", one'])
async def test_lives_in_a_schema_of_its_own(
    postgres_settings: StorageSettings, clock: FrozenClock, schema: str
) -> None:
    settings = replace(postgres_settings, schema=schema)
    for _ in range(2):
        database = Database(settings, clock)
        await database.start()
        await migrate(database, settings)
        assert await database.security_epoch() == 0
        await database.stop()
    plain = Database(postgres_settings, clock)
    await plain.start()
    assert await plain.read(lambda c: inspect(c).get_table_names()) == []
    made = await plain.read(lambda c: inspect(c).get_table_names(schema=schema))
    assert {"spans", "alembic_version"} <= set(made)
    await plain.stop()


async def test_two_schemas_migrate_at_once(
    postgres_settings: StorageSettings, clock: FrozenClock
) -> None:
    async def start(schema: str) -> int:
        settings = replace(postgres_settings, schema=schema)
        database = Database(settings, clock)
        await database.start()
        await migrate(database, settings)
        epoch = await database.security_epoch()
        await database.stop()
        return epoch

    assert await asyncio.gather(start("one"), start("two"), start("two")) == [0, 0, 0]


async def test_commits_are_synchronous_and_reads_are_snapshots(postgres: Database) -> None:
    assert await postgres.write(scalar("SHOW synchronous_commit")) == "on"
    assert await postgres.write(scalar("SHOW transaction_isolation")) == "read committed"
    assert await postgres.read(scalar("SHOW transaction_isolation")) == "repeatable read"
    assert await postgres.read(scalar("SHOW transaction_read_only")) == "on"
    # What a read set for itself is not left behind for the next writer.
    assert await postgres.write(scalar("SHOW transaction_read_only")) == "off"


async def test_ingest_keeps_to_one_connection(postgres: Database) -> None:
    pid = scalar("SELECT pg_backend_pid()")
    pids = await asyncio.gather(*(postgres.write(pid, lane=Lane.INGEST) for _ in range(8)))
    assert len(set(pids)) == 1
    assert await postgres.write(pid) not in pids


async def test_administrative_work_does_not_wait_for_ingest(postgres: Database) -> None:
    slow = asyncio.create_task(postgres.write(scalar("SELECT pg_sleep(2)"), lane=Lane.INGEST))
    await asyncio.sleep(0.1)
    await postgres.write(move_security_epoch)
    assert not slow.done()
    assert await postgres.security_epoch() == 1
    await slow


async def test_a_deadlock_is_unavailable_for_one_and_nothing_for_the_other(
    postgres: Database,
) -> None:
    def lock_in_order(first: int, second: int) -> object:
        def work(connection: Connection) -> None:
            for key in (first, second):
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
                connection.execute(text("SELECT pg_sleep(0.3)"))

        return work

    outcomes = await asyncio.gather(
        postgres.write(lock_in_order(1, 2)),
        postgres.write(lock_in_order(2, 1)),
        return_exceptions=True,
    )
    assert sorted(isinstance(outcome, UnavailableError) for outcome in outcomes) == [False, True]


async def test_an_epoch_asked_for_after_a_change_is_never_older(postgres: Database) -> None:
    async def ask_all_the_time(until: asyncio.Event) -> None:
        while not until.is_set():
            await postgres.security_epoch()

    done = asyncio.Event()
    others = [asyncio.create_task(ask_all_the_time(done)) for _ in range(8)]
    for expected in range(1, 40):
        await postgres.write(move_security_epoch)
        assert await postgres.security_epoch() == expected
    done.set()
    await asyncio.gather(*others)


async def test_one_who_gives_up_does_not_spoil_the_epoch_for_others(postgres: Database) -> None:
    asking = [asyncio.create_task(postgres.security_epoch()) for _ in range(10)]
    await asyncio.sleep(0)
    for task in asking[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert outcomes[1::2] == [0] * 5


async def test_a_server_that_does_not_answer_does_not_hold_up_the_end(
    own_postgres_server: PostgresServer, restartable_settings: StorageSettings, clock: FrozenClock
) -> None:
    database = await start_with_full_pool(restartable_settings, clock)
    stuck = asyncio.create_task(database.write(scalar("SELECT pg_sleep(60)")))
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()
    await database.stop()
    assert asyncio.get_running_loop().time() - began < 8
    stuck.cancel()
    await asyncio.to_thread(own_postgres_server.stop, "immediate")
    await asyncio.gather(stuck, return_exceptions=True)
    await asyncio.sleep(0.1)


@pytest.mark.asvs("13.2.2")
async def test_a_role_without_rights_beyond_its_schema_suffices(postgres: Database) -> None:
    """Tables were made, and everything is read and written, by a role like any other."""
    await postgres.write(move_security_epoch)
    rights = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
    query = f"{rights} FROM pg_roles WHERE rolname = current_user"
    assert await postgres.read(scalar(query)) is False
    members = "SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole"
    assert await postgres.read(scalar(members)) == 0
