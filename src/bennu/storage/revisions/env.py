"""What Alembic runs; the connection and its transaction come from storage/migrate.py."""

from alembic import context

from bennu.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
