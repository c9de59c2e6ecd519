"""Annotations and notes: what people, code and models say about spans, traces and sessions."""
