"""Statements over many rows give what one statement a row would give."""

import sqlite3
from collections.abc import Iterator

import pytest

from router.storage.sqlite_bulk import Bulk, Lookup

_KEPT = Bulk("INSERT INTO kept (name, value) VALUES {rows}", 2)
_FOUND = Lookup("name, value", "FROM kept WHERE name >= ? AND name IN (VALUES {rows})", 1)


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE kept (name INTEGER PRIMARY KEY, value)")
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "[]",
        '{"a": "\\u00e9"}',
        'sagt "ja" \\ nein',
        "¿qué?\n\t\x01\x7f\u2028",
        "👩‍👩‍👧",
        0,
        -(2**63),
        2**63 - 1,
    ],
)
def test_what_is_looked_up_is_what_was_stored(raw: sqlite3.Connection, value: object) -> None:
    _KEPT.run(raw, [(1, value)])

    (row,) = _FOUND.run(raw, [(1,), (2,)], 0)

    assert row == [1, value]
    assert type(row[1]) is type(value)


@pytest.mark.parametrize("number", [0, 1, 2, 63, 64, 65, 200])
def test_any_number_of_rows_is_kept_and_looked_up(raw: sqlite3.Connection, number: int) -> None:
    assert _KEPT.run(raw, [(name, str(name)) for name in range(number)]) == []

    found = _FOUND.run(raw, [(name,) for name in range(number)], 1)

    assert sorted(found) == [[name, str(name)] for name in range(1, number)]
