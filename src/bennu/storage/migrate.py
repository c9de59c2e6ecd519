"""Brings the tables up to date at start, under a lock.

Two servers that start at once on one database both come up: the second waits for the first and
finds the work done. All of it is one transaction on both databases, so a start that is cut off
leaves nothing half-made.
"""

import logging
from pathlib import Path
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.schema import CreateSchema, CreateTable

from bennu.kernel.clock import to_microseconds
from bennu.kernel.errors import ConflictError
from bennu.storage.database import Database
from bennu.storage.recognise import refuse_foreign_tables
from bennu.storage.schema import meta, metadata, projects, security_epoch
from bennu.storage.settings import StorageSettings

_log: Final = logging.getLogger(__name__)

#: The newest revision. Neither a database that has it nor an empty one needs Alembic, whose
#: import takes 0.3 s and 9 MB.
HEAD_REVISION: Final = "0001"
REVISIONS: Final = Path(__file__).parent / "revisions"
#: Any number, the same in all versions: "Bennu" in ASCII.
_ADVISORY_LOCK: Final = 0x42656E6E75
#: Alembic's own table, as it makes it; no table of the schema pages.
_VERSION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


class NewerDatabaseError(ConflictError):
    """The database was written by a newer Bennu than this one."""

    code = "newer_database"


class MigrationsDisabledError(ConflictError):
    """There are no tables yet, and making them is switched off."""

    code = "migrations_disabled"


async def migrate(database: Database, settings: StorageSettings) -> None:
    """Create or update the tables, and make the rows that every database has.

    Raises:
        ForeignDatabaseError: the database belongs to another application.
        NewerDatabaseError: it was written by a newer version.
        MigrationsDisabledError: there is nothing yet and migrations are disabled.
        UnavailableError: it cannot be reached.
    """
    revision = await database.read(_revision_of)
    if revision == HEAD_REVISION:
        return
    if settings.migrations_disabled:
        _refuse_without_tables(revision)
        return
    logging.getLogger("alembic").setLevel(
        logging.INFO if settings.log_migrations else logging.WARNING
    )
    now_microseconds = to_microseconds(database.clock.now_utc())

    def upgrade(connection: Connection) -> None:
        _lock(connection)
        if settings.schema is not None and settings.postgres is not None:
            _create_schema(connection, settings.schema)
        _upgrade(connection, _name_of(settings), now_microseconds)

    await database.write(upgrade)


def _refuse_without_tables(revision: str | None) -> None:
    if revision is None:
        raise MigrationsDisabledError(
            "PHOENIX_DANGEROUSLY_DISABLE_MIGRATIONS: the database has no tables yet; start once "
            "without this setting"
        )
    _log.warning(
        "PHOENIX_DANGEROUSLY_DISABLE_MIGRATIONS: the database stays at revision %s, this version "
        "is made for %s",
        revision,
        HEAD_REVISION,
    )


def _name_of(settings: StorageSettings) -> str:
    if settings.postgres is None:
        return "memory" if settings.sqlite_path is None else str(settings.sqlite_path)
    return f"{settings.postgres.database} on {settings.postgres.host}"


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


def _lock(connection: Connection) -> None:
    """Wait until no other server migrates; on SQLite the transaction itself is that lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def _create_schema(connection: Connection, schema: str) -> None:
    # Asked first: CREATE SCHEMA needs a right that a deployment with a ready schema may not give.
    if not inspect(connection).has_schema(schema):
        connection.execute(CreateSchema(schema))


def _upgrade(connection: Connection, where: str, now_microseconds: int) -> None:
    refuse_foreign_tables(connection, where)
    revision = _revision_of(connection)
    if revision is None:
        _create_tables(connection)
        _insert_first_rows(connection, now_microseconds)
    elif revision != HEAD_REVISION:  # else another server just did it
        _run_revisions(connection, where, revision)


def _create_tables(connection: Connection) -> None:
    """Make an empty database from the pages, which is where all revisions together end.

    Why safe: a test runs the revisions one by one from nothing and finds the same tables.
    """
    metadata.create_all(connection, checkfirst=False)
    connection.execute(CreateTable(_VERSION))
    connection.execute(insert(_VERSION).values(version_num=HEAD_REVISION))


def _run_revisions(connection: Connection, where: str, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - heavy, and needed once per version only
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    # The parser of the options gives % a meaning of its own.
    config.set_main_option("script_location", str(REVISIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision not in known:
        raise NewerDatabaseError(
            f"{where} has revision {revision}, which this version of Bennu does not know; start "
            "a version at least as new as the one that wrote it"
        )
    command.upgrade(config, "head")


def _insert_first_rows(connection: Connection, now_microseconds: int) -> None:
    connection.execute(insert(meta).values(name="application", value="bennu"))
    connection.execute(insert(security_epoch).values(id=1, value=0))
    connection.execute(
        insert(projects).values(
            name="default",
            description="Default project",
            created_at=now_microseconds,
            updated_at=now_microseconds,
        )
    )
