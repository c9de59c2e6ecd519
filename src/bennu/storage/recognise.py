"""Whose database is this: nobody's yet, Bennu's, or that of another application.

It is asked before the first write, and of a SQLite file before it is opened for writing at all:
a database of Arize Phoenix, or of anybody else, stays as it is.
"""

import sqlite3
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect

from bennu.kernel.errors import ConflictError
from bennu.storage.failures import database_failures
from bennu.storage.schema import metadata

#: Together in no other application; a Bennu of any version has them.
_OURS: Final = frozenset({"meta", "security_epoch"})
_PHOENIX: Final = frozenset({"spans", "traces", "projects"})
_VERSION_TABLE: Final = "alembic_version"
_NAMED_AT_MOST: Final = 5


class ForeignDatabaseError(ConflictError):
    """The database belongs to another application; nothing in it was touched."""

    code = "foreign_database"


def refuse_foreign_file(path: Path) -> None:
    """Look into a SQLite file, read-only; a missing or an empty one is nobody's.

    Raises:
        ForeignDatabaseError: it holds tables that are not Bennu's, or is no database at all.
        UnavailableError: it cannot be read.
    """
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return
    except OSError:
        return
    with database_failures():
        try:
            names = _table_names_of(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            raise ForeignDatabaseError(
                f"PHOENIX_SQL_DATABASE_URL: {path} is not a SQLite database"
            ) from None
    if names - _OURS and not names >= _OURS:
        raise ForeignDatabaseError(_explain(names, str(path)))


def _table_names_of(path: Path) -> AbstractSet[str]:
    log = path.with_name(f"{path.name}-wal")
    # Without a log nobody has the file open, and "immutable" keeps SQLite from making side files.
    has_log = log.exists() and log.stat().st_size > 0
    mode = "mode=ro" if has_log else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    try:
        rows = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%'"
            " ESCAPE '!'"
        )
        return {str(row[0]) for row in rows}
    finally:
        connection.close()


def refuse_foreign_tables(connection: Connection, where: str) -> None:
    """Refuse tables of another application that stand where Bennu's would be made.

    In PostgreSQL unrelated tables may live beside ours; those with our names may not.

    Args:
        connection: in the transaction, and under the lock, in which tables are made next.
        where: names the database in the refusal.

    Raises:
        ForeignDatabaseError: says whose they look like and what to do.
    """
    inspector = inspect(connection)
    names = {*inspector.get_table_names(), *inspector.get_view_names()}
    in_the_way = names & (frozenset(metadata.tables) | {_VERSION_TABLE})
    if in_the_way and not names >= _OURS:
        raise ForeignDatabaseError(_explain(names, where))


def _explain(names: AbstractSet[str], where: str) -> str:
    if names >= _PHOENIX:
        return (
            f"PHOENIX_SQL_DATABASE_URL: {where} is a database of Arize Phoenix. Bennu neither "
            "reads nor changes it. Give Bennu a place of its own with PHOENIX_SQL_DATABASE_URL, "
            "PHOENIX_WORKING_DIR or PHOENIX_SQL_DATABASE_SCHEMA"
        )
    some = ", ".join(sorted(names)[:_NAMED_AT_MOST])
    return (
        f"PHOENIX_SQL_DATABASE_URL: {where} holds tables of another application ({some}). Give "
        "Bennu a database, or a PHOENIX_SQL_DATABASE_SCHEMA, of its own"
    )
