"""The first schema.

Revision ID: 0001
Revises:
"""

from alembic import op

from bennu.storage.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table of the schema page."""
    # Made from the page itself for as long as nothing is released; later changes are written out.
    metadata.create_all(op.get_bind(), checkfirst=False)
