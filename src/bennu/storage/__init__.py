"""SQLite and PostgreSQL behind one door: settings, engine, the page of tables, migrations."""
