"""An error as some libraries raise it: made of less than its words are, it cannot be printed."""


class Wordless(Exception):
    """An error that breaks whoever prints it."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__
