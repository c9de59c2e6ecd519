"""What the database says of itself: what it is, and the epoch of authority."""

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    Table,
    Text,
)

from bennu.storage.schema.columns import metadata

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: One row; moved by every change that touches authority (see storage/epoch.py).
security_epoch = Table(
    "security_epoch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)
