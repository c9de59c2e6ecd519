"""Local users: passwords and signing in with them."""
