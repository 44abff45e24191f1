"""Chaos and fault injection for LLM serving.

This file imports nothing, so that ``vqchaos --version`` answers at once.
"""

__version__ = "0.1.0"
