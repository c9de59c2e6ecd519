import sqlite3
from pathlib import Path

import pytest

from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.recognise import ForeignDatabaseError, refuse_foreign_file
from bennu.storage.settings import StorageSettings
from fakes.clock import FrozenClock
from peers.postgres import OWNER, PostgresServer

# The tables by which a database of Arize Phoenix is known; the columns do not matter.
PHOENIX = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
    "INSERT INTO alembic_version VALUES ('0123456789ab')",
    *(
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)"
        for name in ("projects", "traces", "spans", "project_sessions", "users", "api_keys")
    ),
    "INSERT INTO projects VALUES (1)",
)


def sqlite_file(path: Path, *statements: str) -> StorageSettings:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return StorageSettings(working_dir=path.parent, sqlite_path=path)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    found = {}
    for path in folder.iterdir():
        status = path.stat()
        found[path.name] = (path.read_bytes(), status.st_mode, status.st_mtime_ns)
    return found


async def test_a_phoenix_file_is_refused_and_left_as_it_is(
    tmp_path: Path, clock: FrozenClock
) -> None:
    settings = sqlite_file(tmp_path / "phoenix.db", *PHOENIX)
    before = snapshot(tmp_path)
    database = Database(settings, clock)
    with pytest.raises(ForeignDatabaseError, match="Arize Phoenix") as caught:
        await database.start()
    assert "phoenix.db" in caught.value.public
    assert snapshot(tmp_path) == before
    await database.stop()
    assert snapshot(tmp_path) == before


def test_a_phoenix_that_is_running_is_recognised_too(tmp_path: Path) -> None:
    path = tmp_path / "phoenix.db"
    running = sqlite3.connect(path)
    running.execute("PRAGMA journal_mode = WAL")
    for statement in PHOENIX:
        running.execute(statement)
    running.commit()
    log = path.with_name("phoenix.db-wal")
    assert log.stat().st_size > 0  # all of it stands in the log so far
    before = path.read_bytes(), log.read_bytes()
    with pytest.raises(ForeignDatabaseError, match="Arize Phoenix"):
        refuse_foreign_file(path)
    assert (path.read_bytes(), log.read_bytes()) == before
    running.execute("INSERT INTO projects VALUES (2)")
    running.commit()
    running.close()


def test_another_application_is_named_by_its_tables(tmp_path: Path) -> None:
    settings = sqlite_file(tmp_path / "x.db", "CREATE TABLE cookbook (id INTEGER)")
    assert settings.sqlite_path is not None
    with pytest.raises(ForeignDatabaseError, match="cookbook"):
        refuse_foreign_file(settings.sqlite_path)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping list\n" * 200)
    with pytest.raises(ForeignDatabaseError, match="not a SQLite database"):
        refuse_foreign_file(path)


def test_nothing_there_an_empty_file_and_an_empty_database_are_nobodys(tmp_path: Path) -> None:
    refuse_foreign_file(tmp_path / "missing" / "bennu.db")
    (tmp_path / "empty.db").touch()
    refuse_foreign_file(tmp_path / "empty.db")
    settings = sqlite_file(tmp_path / "no_tables.db")
    assert settings.sqlite_path is not None
    refuse_foreign_file(settings.sqlite_path)


async def test_our_own_file_is_taken_again(
    sqlite_settings: StorageSettings, clock: FrozenClock
) -> None:
    for _ in range(2):
        database = Database(sqlite_settings, clock)
        await database.start()
        await migrate(database, sqlite_settings)
        await database.stop()


@pytest.mark.parametrize(
    ("statements", "explanation"),
    [
        (PHOENIX, "Arize Phoenix"),
        (("CREATE TABLE users (id INTEGER)",), "another application"),
        (("CREATE VIEW traces AS SELECT 1 AS id",), "another application"),
    ],
)
async def test_a_foreign_postgresql_is_refused_and_left_as_it_is(
    postgres_server: PostgresServer,
    postgres_settings: StorageSettings,
    clock: FrozenClock,
    statements: tuple[str, ...],
    explanation: str,
) -> None:
    assert postgres_settings.postgres is not None
    name = postgres_settings.postgres.database
    postgres_server.sql(f"SET ROLE {OWNER}", *statements, database=name)
    listing = (
        "SELECT relname, xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " ORDER BY relname"
    )
    before = postgres_server.sql(listing, database=name)
    database = Database(postgres_settings, clock)
    await database.start()
    with pytest.raises(ForeignDatabaseError, match=explanation):
        await migrate(database, postgres_settings)
    await database.stop()
    assert postgres_server.sql(listing, database=name) == before != ""


async def test_unrelated_tables_in_postgresql_may_stay(
    postgres_server: PostgresServer, postgres_settings: StorageSettings, clock: FrozenClock
) -> None:
    assert postgres_settings.postgres is not None
    name = postgres_settings.postgres.database
    postgres_server.sql("CREATE TABLE cookbook (id INTEGER)", database=name)
    database = Database(postgres_settings, clock)
    await database.start()
    await migrate(database, postgres_settings)
    assert await database.security_epoch() == 0
    await database.stop()
