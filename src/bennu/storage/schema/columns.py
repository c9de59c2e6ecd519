"""What every table is made of: the one collection of tables, marks, and columns of one shape.

A column may carry marks: ``info={"sealed": True}`` (its value is stored as ``<key_id>:<token>``,
see ``encryption/cipher.py``) and ``info={"personal": True}`` (it says something about a person).
From the marks come the list of what is encrypted, what a rotation re-seals, and what an erasure
and an export must cover.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, MetaData
from sqlalchemy.sql.type_api import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: 64-bit row ids on PostgreSQL; on SQLite only the type INTEGER becomes the row id itself.
ROW_ID: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
SEALED: Final = {"sealed": True}
PERSONAL: Final = {"personal": True}
# sqlite_autoincrement: row numbers of tables with public ids are never used twice.


def row_id() -> Column[int]:
    """Make the row id of a table."""
    return Column("id", ROW_ID, primary_key=True, autoincrement=True)


def time_at(name: str, *, nullable: bool = False) -> Column[int]:
    """Make a column of microseconds since 1970 UTC; whole numbers compare alike everywhere."""
    return Column(name, BigInteger, nullable=nullable)
