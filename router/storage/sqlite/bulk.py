"""One statement over many rows.

SQLite lets go of Python's lock only while a statement runs: with a statement a row, the writer's
thread and the event loop would take turns at it thousands of times a second. One statement over
many rows runs beside the loop. What it reads comes as one row of JSON: between two rows the lock
would be taken and given back again, and a busy loop gives it back milliseconds later.

For the same reason a statement is made for more rows than there are, and those that are missing are
NULL: they match nothing, and are not inserted.

Where the same is set in many rows, ``key IN (VALUES {rows})`` takes half the time of ``FROM
(VALUES {rows})``, for which SQLite copies what it is about to change. Two columns, as in ``(kind,
key) IN (VALUES {rows})``, are to be avoided: SQLite looks every pair of the values up.
"""

import json
import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

#: Rows in one statement. Few sizes, so that every one of them stays prepared.
_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
#: For each number of rows, the size of its statement.
_SIZE: Final = [min(size for size in _SIZES if size >= rows) for rows in range(_SIZES[-1] + 1)]


class Bulk:
    """A statement whose text has ``{rows}`` where rows of parameters stand.

    :param statement: ``… key IN (VALUES {rows})``, or ``… FROM (VALUES {rows}) …`` with the columns
        named ``column1``, ``column2`` and so on. Rows of nothing but NULL must do nothing.
    :param width: the parameters of a row.
    :ivar text: the statement for one row.
    """

    def __init__(self, statement: str, width: int) -> None:
        row = f"({', '.join('?' * width)})"
        self.text = statement.format(rows=row)
        self._width = width
        self._statements = {size: statement.format(rows=", ".join([row] * size)) for size in _SIZES}

    def run(
        self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]], *before: Any
    ) -> list[tuple[Any, ...]]:
        """Run the statement over all rows; give what it returns.

        :param before: parameters that stand before the rows, the same for all of them.
        """
        found: list[tuple[Any, ...]] = []
        most = _SIZES[-1]
        for start in range(0, len(rows), most):
            chunk = rows[start : start + most]
            size = _SIZE[len(chunk)]
            values = [*before, *chain.from_iterable(chunk)]
            values += [None] * ((size - len(chunk)) * self._width)
            found += raw.execute(self._statements[size], values).fetchall()
        return found


class Insert(Bulk):
    """An insertion of rows, whose first column must have a value.

    :param table: with the columns, ``table (first, second, …)``.
    """

    def __init__(self, table: str) -> None:
        values = "SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
        super().__init__(f"INSERT INTO {table} {values}", table.count(",") + 1)

    def run(
        self, raw: sqlite3.Connection, rows: Sequence[Sequence[Any]], *before: Any
    ) -> list[tuple[Any, ...]]:
        """Insert all rows.

        :raises sqlite3.IntegrityError: also if the first column of one is NULL.
        """
        changes = raw.total_changes
        found = super().run(raw, rows, *before)
        if raw.total_changes - changes != len(rows):
            message = "the first column of a row is NULL"
            raise sqlite3.IntegrityError(message)
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
