"""Statements over many rows give what one statement a row would give."""

import sqlite3
from collections.abc import Iterator

import pytest

from router.storage.sqlite.bulk import Bulk, Insert, Lookup

_KEPT = Insert("kept (name, value)")
_CHANGED = Bulk(
    "UPDATE kept SET value = v.column2 FROM (VALUES {rows}) AS v WHERE name = v.column1", 2
)
_COUNTED = Bulk("UPDATE kept SET value = value + 1 WHERE name IN (VALUES {rows})", 1)
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


@pytest.mark.parametrize("number", [*range(70), 127, 128, 129, 200])
def test_any_number_of_rows_is_kept_and_looked_up(raw: sqlite3.Connection, number: int) -> None:
    assert _KEPT.run(raw, [(name, str(name)) for name in range(number)]) == []

    found = _FOUND.run(raw, [(name,) for name in range(number)], 1)

    assert sorted(found) == [[name, str(name)] for name in range(1, number)]


@pytest.mark.parametrize("number", [0, 1, 5, 50, 63, 64, 65, 150])
def test_any_number_of_rows_is_changed_once_and_no_other(
    raw: sqlite3.Connection, number: int
) -> None:
    _KEPT.run(raw, [(name, None) for name in range(200)])

    _CHANGED.run(raw, [(name, 10 * name) for name in range(number)])
    _COUNTED.run(raw, [(name,) for name in range(number)])

    values = [value for (value,) in raw.execute("SELECT value FROM kept ORDER BY name")]
    assert values == [10 * name + 1 if name < number else None for name in range(200)]


def test_a_row_that_would_be_taken_for_a_missing_one_is_refused(raw: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="first column"):
        _KEPT.run(raw, [(1, "uno"), (None, "dos")])
