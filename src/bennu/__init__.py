"""Bennu: a self-hosted server that collects the traces of LLM applications and keeps them safe."""

__version__ = "0.1.0"
