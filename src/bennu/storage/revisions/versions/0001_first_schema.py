"""The first schema, and the rows that every database has.

Revision ID: 0001
Revises:
"""

from alembic import op
from sqlalchemy import insert

from bennu.storage.schema import meta, metadata, security_epoch

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table of the schema page."""
    connection = op.get_bind()
    metadata.create_all(connection)
    connection.execute(insert(meta).values(name="application", value="bennu"))
    connection.execute(insert(security_epoch).values(id=1, value=1))
