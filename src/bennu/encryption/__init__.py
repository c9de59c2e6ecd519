"""Encryption at rest: the secret, the keys made from it, and everything sealed under them."""
