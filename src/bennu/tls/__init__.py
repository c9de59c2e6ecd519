"""TLS of the two listeners."""
