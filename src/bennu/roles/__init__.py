"""Roles: the built-in ones and those that admins define out of the catalog."""
