"""Annotation configs: the forms that annotations of a name should have, and whose they are."""
