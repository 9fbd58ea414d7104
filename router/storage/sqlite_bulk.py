"""One statement over many rows.

SQLite lets go of Python's lock only while a statement runs: with a statement a row, the writer's
thread and the event loop would take turns at it thousands of times a second. One statement over
many rows runs beside the loop.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

#: Rows in one statement. Few sizes, so that every one of them stays prepared.
_SIZES: Final = (64, 16, 4, 1)


class Bulk:
    """A statement whose text has ``{rows}`` where rows of parameters stand.

    :param statement: ``INSERT … VALUES {rows}``, or ``… FROM (VALUES {rows}) …`` with the columns
        named ``column1``, ``column2`` and so on.
    :param width: the parameters of a row.
    """

    def __init__(self, statement: str, width: int) -> None:
        row = f"({', '.join('?' * width)})"
        self._statements = {size: statement.format(rows=", ".join([row] * size)) for size in _SIZES}

    def run(self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Run the statement over all rows; give what it returns."""
        found: list[tuple[Any, ...]] = []
        for chunk in _chunks(rows):
            values = [value for row in chunk for value in row]
            found += raw.execute(self._statements[len(chunk)], values).fetchall()
        return found


def _chunks(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    start = 0
    for size in _SIZES:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size
