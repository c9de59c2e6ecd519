"""Gives pages that deletions left empty back to the file system, a few at a time.

PostgreSQL does that itself (autovacuum). A file whose first table was made with
``auto_vacuum = INCREMENTAL`` shrinks without being locked for long.

Source: SQLite, PRAGMA incremental_vacuum.
"""

from sqlalchemy import Connection

from bennu.storage.sqlite_connection import driver_of


def give_back_pages(connection: Connection, most: int) -> bool:
    """Give back up to ``most`` empty pages of 8 KiB; whether there are more."""
    if connection.dialect.name != "sqlite":
        return False
    driver = driver_of(connection)
    driver.execute(f"PRAGMA incremental_vacuum({int(most)})").fetchall()
    return bool(driver.execute("PRAGMA freelist_count").fetchone()[0])
