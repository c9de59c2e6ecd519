"""Traces: projects, spans, annotations, and the ways in."""
