"""What ``import phoenix as px`` gives: the official client with clear errors."""

__version__ = "0.1.0"
