"""Composition root, use cases and infrastructure."""

__version__ = "0.1.0"
