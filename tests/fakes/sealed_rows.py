"""Rows with a value in every sealed column, and what should come out when they are opened."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, Table, insert, select

from bennu.storage.schema import (
    credentials,
    privacy_jobs,
    purpose_keys,
    secret_values,
    sessions,
    stored_settings,
    users,
)

Seal = Callable[[str], str]
#: Column and primary key, and the text that was sealed there.
Planted = dict[tuple[str, object], str]

_TIMES = {"created_at": 1, "updated_at": 1}


def _row(table: Table, number: int, seal: Seal) -> dict[str, Any]:
    """Make one row; ``number`` is its key where the key is a number."""

    def value(column: Column[Any]) -> str:
        return seal(plain_text(column, number))

    rows: dict[Table, Callable[[], dict[str, Any]]] = {
        users: lambda: {
            "id": number,
            "username": f"user-{number}",
            "auth_method": "LOCAL",
            "password_hash": value(users.c.password_hash),
            **_TIMES,
        },
        sessions: lambda: {
            "id": number,
            "user_id": number,
            "auth_methods": "[]",
            "id_token": value(sessions.c.id_token),
            "authenticated_at": 1,
            "created_at": 1,
            "last_used_at": 1,
            "expires_at": 1,
        },
        credentials: lambda: {
            "id": number,
            "lookup": f"lookup-{number}",
            "kind": "access",
            "digest": value(credentials.c.digest),
            "successor": value(credentials.c.successor),
            "created_at": 1,
        },
        privacy_jobs: lambda: {
            "id": number,
            "kind": "export",
            "status": "done",
            "requested_by": "VXNlcjox",
            "subject_kind": "user",
            "subject_digest": f"digest-{number}",
            "subject": value(privacy_jobs.c.subject),
            "actor": value(privacy_jobs.c.actor),
            "created_at": 1,
        },
        purpose_keys: lambda: {
            "purpose": f"row-{number}",
            "value": value(purpose_keys.c.value),
            "created_at": 1,
        },
        secret_values: lambda: {
            "name": f"row-{number}",
            "value": value(secret_values.c.value),
            **_TIMES,
        },
        stored_settings: lambda: {
            "name": f"row-{number}",
            "plain": "{}",
            "secret": value(stored_settings.c.secret),
            **_TIMES,
        },
    }
    return rows[table]()


SEALED_TABLES = (
    users,
    sessions,
    credentials,
    privacy_jobs,
    purpose_keys,
    secret_values,
    stored_settings,
)
SEALED_COLUMNS = tuple(c for table in SEALED_TABLES for c in table.columns if c.info.get("sealed"))


def plain_text(column: Column[Any], number: int) -> str:
    return f"planted in {column} of row {number}"


def plant(connection: Connection, seal: Seal, rows_per_table: int, first: int = 1) -> None:
    """Fill every sealed column of ``rows_per_table`` rows in each table that has one."""
    numbers = range(first, first + rows_per_table)
    for table in SEALED_TABLES:
        connection.execute(insert(table), [_row(table, number, seal) for number in numbers])


def sealed_texts(connection: Connection) -> dict[tuple[str, object], str]:
    """Read every sealed value as it is stored, by column and primary key."""
    found: dict[tuple[str, object], str] = {}
    for column in SEALED_COLUMNS:
        (key,) = column.table.primary_key.columns
        for row_key, sealed in connection.execute(select(key, column).where(column.is_not(None))):
            found[(str(column), row_key)] = sealed
    return found


def expected_texts(rows_per_table: int, first: int = 1) -> Planted:
    """Return what ``plant`` sealed, by column and primary key."""
    expected: Planted = {}
    for column in SEALED_COLUMNS:
        (key,) = column.table.primary_key.columns
        for number in range(first, first + rows_per_table):
            row_key = number if key.type.python_type is int else f"row-{number}"
            expected[(str(column), row_key)] = plain_text(column, number)
    return expected
