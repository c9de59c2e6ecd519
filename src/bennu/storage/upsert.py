"""Insert-or-update and insert-or-ignore, the same for both databases."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def _insert_into(dialect: str, table: Table) -> Any:  # noqa: ANN401 - two dialects' types
    return (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)


# Built once per shape: SQLAlchemy takes longer to build a statement than SQLite to run it.
@lru_cache
def _upsert(dialect: str, table: Table, key: tuple[str, ...], values: tuple[str, ...]) -> Any:  # noqa: ANN401
    statement = _insert_into(dialect, table).values(
        {name: bindparam(name) for name in (*key, *values)}
    )
    return statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in values}
    )


@lru_cache
def _insert_or_ignore(dialect: str, table: Table) -> Any:  # noqa: ANN401 - two dialects' types
    return _insert_into(dialect, table).on_conflict_do_nothing()


def upsert_row(connection: Connection, table: Table, key: Row, values: Row) -> None:
    """Insert a row, or update ``values`` of the one that has this key."""
    statement = _upsert(connection.dialect.name, table, tuple(key), tuple(values))
    connection.execute(statement, {**key, **values})


def insert_unless_present(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; those that meet an existing one are left out."""
    if rows:
        connection.execute(_insert_or_ignore(connection.dialect.name, table), list(rows))


def insert_if_new(connection: Connection, table: Table, row: Row) -> bool:
    """Insert a row; False when one of its key exists, or is being inserted by somebody else."""
    statement = _insert_or_ignore(connection.dialect.name, table)
    return bool(connection.execute(statement, dict(row)).rowcount == 1)
