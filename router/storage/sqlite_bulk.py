"""One statement over many rows.

SQLite lets go of Python's lock only while a statement runs: with a statement a row, the writer's
thread and the event loop would take turns at it thousands of times a second. One statement over
many rows runs beside the loop. What it reads comes as one row of JSON: between two rows the lock
would be taken and given back again, and a busy loop gives it back milliseconds later.

Where the same is set in many rows, ``key IN (VALUES {rows})`` takes half the time of ``FROM
(VALUES {rows})``, for which SQLite copies what it is about to change. Two columns, as in ``(kind,
key) IN (VALUES {rows})``, are to be avoided: SQLite looks every pair of the values up.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

#: Rows in one statement. Few sizes, so that every one of them stays prepared.
_SIZES: Final = (64, 32, 16, 8, 4, 2, 1)


class Bulk:
    """A statement whose text has ``{rows}`` where rows of parameters stand.

    :param statement: ``INSERT … VALUES {rows}``, ``… key IN (VALUES {rows})``, or ``… FROM (VALUES
        {rows}) …`` with the columns named ``column1``, ``column2`` and so on.
    :param width: the parameters of a row.
    :ivar text: the statement for one row.
    """

    def __init__(self, statement: str, width: int) -> None:
        row = f"({', '.join('?' * width)})"
        self.text = statement.format(rows=row)
        self._statements = {size: statement.format(rows=", ".join([row] * size)) for size in _SIZES}

    def run(
        self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]], *before: Any
    ) -> list[tuple[Any, ...]]:
        """Run the statement over all rows; give what it returns.

        :param before: parameters that stand before the rows, the same for all of them.
        """
        found: list[tuple[Any, ...]] = []
        for chunk in _chunks(rows):
            values = [*before, *chain.from_iterable(chunk)]
            found += raw.execute(self._statements[len(chunk)], values).fetchall()
        return found


class Lookup(Bulk):
    """A query whose text has ``{rows}`` where rows of parameters stand.

    Gives lists of whole numbers, texts and ``None``, in no order.

    :param columns: what is selected.
    :param rest: everything behind it, from ``FROM`` on.
    """

    def __init__(self, columns: str, rest: str, width: int) -> None:
        super().__init__(f"SELECT json_group_array(json_array({columns})) {rest}", width)

    def run(
        self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]], *before: Any
    ) -> list[Any]:
        """Run the query over all rows; give what it finds."""
        return [row for (found,) in super().run(raw, rows, *before) for row in json.loads(found)]


def _chunks(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    start, left = 0, len(rows)
    for size in _SIZES:
        while left >= size:
            yield rows[start : start + size]
            start, left = start + size, left - size
