"""Spans as dataframes: what the client's span queries select, filter, explode and join."""
