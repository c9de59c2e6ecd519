"""Rules for firewalls, made from the effective settings."""
