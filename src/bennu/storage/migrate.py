"""Brings the tables up to date at start, under a lock, and refuses a database that is not ours.

Two servers that start at once on one database both come up: the second waits for the first.
Decision 5.
"""

import logging
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from bennu.kernel.errors import AppError
from bennu.storage.database import Database
from bennu.storage.settings import StorageSettings

logger: Final = logging.getLogger("bennu.storage")

#: The newest revision; a database that has it needs no Alembic, and its import is saved.
HEAD_REVISION: Final = "0001"
_REVISIONS: Final = Path(__file__).parent / "revisions"
_ADVISORY_LOCK: Final = 0x42656E6E75  # "Bennu"
_PHOENIX_TABLES: Final = frozenset({"spans", "traces", "projects"})


class ForeignDatabaseError(AppError):
    """The database belongs to another application; nothing in it was touched."""

    code = "foreign_database"


class NewerDatabaseError(AppError):
    """The database was written by a newer Bennu than this one."""

    code = "newer_database"


def refuse_foreign_file(settings: StorageSettings) -> None:
    """Look into an existing SQLite file, read-only, before anything could change it.

    Raises:
        ForeignDatabaseError: it holds tables, and they are not Bennu's.
    """
    path = settings.sqlite_path
    if path is None or not path.exists() or path.stat().st_size == 0:
        return
    # "immutable" keeps SQLite from making side files; where a log exists it must be read too.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            names = frozenset(str(row[0]) for row in rows)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise ForeignDatabaseError(
            f"PHOENIX_SQL_DATABASE_URL: {path} is not a SQLite database ({error})"
        ) from None
    refuse_foreign_tables(names, str(path))


def refuse_foreign_tables(names: frozenset[str], where: str) -> None:
    """Refuse tables that are not Bennu's.

    Raises:
        ForeignDatabaseError: says whose they look like and what to do.
    """
    if "security_epoch" in names or not names:
        return
    if names >= _PHOENIX_TABLES:
        raise ForeignDatabaseError(
            f"PHOENIX_SQL_DATABASE_URL: {where} is a database of Arize Phoenix. Bennu does not "
            "read or change it. Give Bennu a database of its own (PHOENIX_SQL_DATABASE_URL or "
            "PHOENIX_WORKING_DIR) and see docs/migration.md"
        )
    raise ForeignDatabaseError(
        f"PHOENIX_SQL_DATABASE_URL: {where} holds tables of another application "
        f"({', '.join(sorted(names)[:5])}); give Bennu a database or a "
        "PHOENIX_SQL_DATABASE_SCHEMA of its own"
    )


async def migrate(database: Database, settings: StorageSettings) -> None:
    """Create or update the tables.

    Raises:
        ForeignDatabaseError: the database belongs to another application.
        NewerDatabaseError: it was written by a newer version.
        UnavailableError: it cannot be reached.
    """
    revision = await database.read(_revision_of)
    if revision == HEAD_REVISION:
        return
    if settings.migrations_disabled:
        logger.warning("storage.migrations.disabled", extra={"revision": revision or "none"})
        return
    where = "the SQLite file" if settings.postgres is None else settings.postgres.database
    await database.write(lambda connection: _upgrade(connection, where))
    if settings.log_migrations:
        logger.info("storage.migrated", extra={"revision": HEAD_REVISION})


def _revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    value = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if value is None else str(value)


def _upgrade(connection: Connection, where: str) -> None:
    from alembic import command  # noqa: PLC0415 - heavy, and needed once per version only
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    refuse_foreign_tables(frozenset(inspect(connection).get_table_names()), where)
    config = Config()
    config.set_main_option("script_location", str(_REVISIONS).replace("%", "%%"))
    config.set_main_option("version_locations", str(_REVISIONS / "versions").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    revision = _revision_of(connection)
    if revision is not None and revision not in known:
        raise NewerDatabaseError(
            f"The database has revision {revision}, which this version of Bennu does not know; "
            "start a version at least as new as the one that wrote it"
        )
    command.upgrade(config, "head")
