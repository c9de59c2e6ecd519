"""Traces: lists, deletion, transfer to another project."""
