"""Sessions: the traces of one conversation, read and deleted together."""
