"""Channel Router: every channel in, rules decide, an AI or a person answers."""

__version__ = "0.1.0"
