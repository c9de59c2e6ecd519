"""The Alembic revisions, run at start by storage/migrate.py."""
