"""Who has an account here: people and the system user, their roles."""
