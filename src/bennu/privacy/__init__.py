"""Retention, erasure and export."""
