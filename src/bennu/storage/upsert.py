"""Insert-or-update and insert-or-ignore, the same for both databases."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def _insert_into(connection: Connection, table: Table) -> Any:  # noqa: ANN401 - two dialects' types
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table)


def upsert_row(connection: Connection, table: Table, key: Row, values: Row) -> None:
    """Insert a row, or update ``values`` of the one that has this key."""
    statement = _insert_into(connection, table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


def insert_unless_present(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; those that meet an existing one are left out."""
    if rows:
        connection.execute(_insert_into(connection, table).on_conflict_do_nothing(), list(rows))


def insert_if_new(connection: Connection, table: Table, row: Row) -> bool:
    """Insert a row; False when one of its key exists, or is being inserted by somebody else."""
    statement = _insert_into(connection, table).values(**row).on_conflict_do_nothing()
    return bool(connection.execute(statement).rowcount == 1)
