"""Give admin to one task, once.

The public API, handed on lazily: ``import elevate`` loads nothing else.
"""

__version__ = "0.1.0"
