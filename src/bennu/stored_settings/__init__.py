"""Settings and secrets that admins keep in the database: mail server, providers, named values."""
