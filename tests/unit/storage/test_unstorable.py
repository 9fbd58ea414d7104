"""Which errors of a database are about the values, on both databases."""

import sqlite3
from typing import cast

import asyncpg
import pytest
import sqlalchemy as sa

from router.domain.event import MessageReceived
from router.domain.identity import Address
from router.storage.unstorable import is_about_values, is_writable


def _wrapped(error: Exception) -> sa.exc.DBAPIError:
    return sa.exc.DBAPIError("INSERT", {}, error)


@pytest.mark.parametrize(
    ("error", "about_values"),
    [
        (sqlite3.DataError("string or blob too big"), True),
        (_wrapped(sqlite3.DataError("string or blob too big")), True),
        (asyncpg.CharacterNotInRepertoireError("NUL"), True),
        (asyncpg.NumericValueOutOfRangeError("bigint out of range"), True),
        (asyncpg.ProgramLimitExceededError("index row size exceeds"), True),
        (_wrapped(asyncpg.DataError("expected str, got int")), True),
        (sqlite3.IntegrityError("FOREIGN KEY constraint failed"), False),
        (sqlite3.ProgrammingError("Incorrect number of bindings"), False),
        (_wrapped(sqlite3.IntegrityError("UNIQUE constraint failed")), False),
        (asyncpg.UniqueViolationError("duplicate key"), False),
        (asyncpg.ForeignKeyViolationError("no such row"), False),
        (asyncpg.UndefinedColumnError("no such column"), False),
        (_wrapped(asyncpg.NotNullViolationError("null value")), False),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), True),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), True),
        (KeyError("22"), False),
        (TypeError("22"), False),
        (sa.exc.NoResultFound(), False),
    ],
)
def test_an_error_is_about_the_values_only_if_they_would_be_refused_each_time(
    error: Exception, about_values: bool
) -> None:
    assert is_about_values(error) is about_values


@pytest.mark.parametrize(("text", "writable"), [("hola", True), (object(), False), ({"a"}, False)])
def test_an_event_is_writable_if_it_can_be_put_into_words(text: object, writable: bool) -> None:
    event = MessageReceived("A1", Address("tel", "+573001234567"), cast("str", text))

    assert is_writable(event) is writable
