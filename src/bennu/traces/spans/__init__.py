"""Spans: their values, their attributes, how they are stored and read."""
