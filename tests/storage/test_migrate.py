import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import AppError
from bennu.storage.database import Database
from bennu.storage.migrate import (
    HEAD_REVISION,
    REVISIONS,
    MigrationsDisabledError,
    NewerDatabaseError,
    migrate,
)
from bennu.storage.schema import meta, metadata, projects
from bennu.storage.settings import StorageSettings
from fakes.clock import START, FrozenClock

MIGRATE = """
import asyncio, sys
from pathlib import Path
from bennu.kernel.clock import SystemClock
from bennu.storage.database import Database
from bennu.storage.migrate import migrate
from bennu.storage.settings import StorageSettings
async def main():
    path = Path(sys.argv[1])
    settings = StorageSettings(working_dir=path.parent, sqlite_path=path)
    database = Database(settings, SystemClock())
    await database.start()
    await migrate(database, settings)
    await database.stop()
asyncio.run(main())
print("alembic" in sys.modules, "asyncpg" in sys.modules)
"""


@pytest.fixture(params=["sqlite_settings", "postgres_settings"])
def empty_settings(request: pytest.FixtureRequest) -> StorageSettings:
    settings: StorageSettings = request.getfixturevalue(request.param)
    return settings


def differences(connection: Connection) -> list[object]:
    # The index over the start of a span's name is an expression, which SQLite does not report.
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: (kind, name) != ("table", "sqlite_sequence"),
        },
    )
    return list(compare_metadata(context, metadata))


@pytest.mark.filterwarnings("ignore:autogenerate skipping.*expression-based index:UserWarning")
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
async def test_a_new_database_has_exactly_the_tables_of_the_pages(database: Database) -> None:
    assert await database.read(differences) == []


@pytest.mark.filterwarnings("ignore:autogenerate skipping.*expression-based index:UserWarning")
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
async def test_the_revisions_end_where_a_new_database_begins(
    empty_settings: StorageSettings, clock: FrozenClock
) -> None:
    config = Config()
    config.set_main_option("script_location", str(REVISIONS))

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    database = Database(empty_settings, clock)
    await database.start()
    await database.write(upgrade)
    assert await database.read(differences) == []
    await migrate(database, empty_settings)  # finds nothing to do
    await database.stop()


async def test_a_difference_would_be_seen(database: Database) -> None:
    await database.write(lambda c: c.execute(text("ALTER TABLE meta ADD COLUMN surplus TEXT")))
    found = str(await database.read(differences))
    assert "surplus" in found


def test_the_constant_names_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(REVISIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD_REVISION


async def test_the_first_rows(database: Database) -> None:
    def rows(connection: Connection) -> tuple[object, ...]:
        project = select(projects.c.name, projects.c.description)
        return tuple(connection.execute(select(meta)).one()), tuple(
            connection.execute(project).one()
        )

    assert await database.read(rows) == (
        ("application", "bennu"),
        ("default", "Default project"),
    )
    assert await database.security_epoch() == 0


async def test_times_come_from_the_clock(
    sqlite_settings: StorageSettings, clock: FrozenClock
) -> None:
    database = Database(sqlite_settings, clock)
    await database.start()
    await migrate(database, sqlite_settings)
    made_at = await database.read(lambda c: c.execute(select(projects.c.created_at)).scalar())
    assert made_at == to_microseconds(START)
    await database.stop()


async def test_two_that_start_at_once_both_come_up(
    empty_settings: StorageSettings, clock: FrozenClock
) -> None:
    databases = [Database(empty_settings, clock) for _ in range(3)]
    await asyncio.gather(*(database.start() for database in databases))
    await asyncio.gather(*(migrate(database, empty_settings) for database in databases))
    for database in databases:
        assert await database.security_epoch() == 0
        await migrate(database, empty_settings)
        await database.stop()


async def test_two_processes_that_start_at_once_on_one_file(
    sqlite_settings: StorageSettings,
) -> None:
    path = str(sqlite_settings.sqlite_path)
    both = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, path, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    assert [await process.wait() for process in both] == [0, 0]


def test_alembic_is_imported_only_for_revisions(tmp_path: Path) -> None:
    def start() -> str:
        return subprocess.run(
            [sys.executable, "-c", MIGRATE, str(tmp_path / "bennu.db")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert start() == "False False"
    assert start() == "False False"


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    await database.write(
        lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    )
    settings = StorageSettings(working_dir=Path("/nowhere"))
    with pytest.raises(NewerDatabaseError, match="9999") as caught:
        await migrate(database, settings)
    assert isinstance(caught.value, AppError)


async def test_disabled_migrations_make_nothing(
    empty_settings: StorageSettings, clock: FrozenClock
) -> None:
    settings = replace(empty_settings, migrations_disabled=True)
    database = Database(settings, clock)
    await database.start()
    with pytest.raises(MigrationsDisabledError, match="PHOENIX_DANGEROUSLY_DISABLE_MIGRATIONS"):
        await migrate(database, settings)
    assert await database.read(lambda c: inspect(c).get_table_names()) == []
    await migrate(database, empty_settings)
    await migrate(database, settings)  # nothing to do is nothing to refuse
    await database.stop()


async def test_disabled_migrations_leave_an_older_database_and_say_so(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.write(
        lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    )
    settings = StorageSettings(working_dir=Path("/nowhere"), migrations_disabled=True)
    await migrate(database, settings)
    assert "0000" in caplog.text
