"""What two nodes do at the same moment: inserting one row, and waiting for each other.

SQLite has one writer, so there it never happens; PostgreSQL is where these functions earn their
keep.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_missing(
    connection: sa.Connection, table: sa.Table, values: dict[str, Any], *, key: Sequence[str] = ()
) -> bool:
    """Insert a row unless one of its name is there; say whether it was inserted.

    Waits for whoever is just inserting the same, and the next statement sees what they committed.

    :param key: the columns that make the name; empty for any unique key of the table.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**values)
    statement = statement.on_conflict_do_nothing(index_elements=list(key) or None)
    return bool(connection.execute(statement).rowcount)


def hold(connection: sa.Connection, *words: str) -> None:
    """Let nobody else hold the same words until this transaction ends; wait for who does.

    For what has no row yet that could be locked.
    """
    if connection.dialect.name == "postgresql":
        number = sa.literal(number_of(*words), sa.BigInteger)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def number_of(*words: str) -> int:
    """Give the number under which PostgreSQL knows what :func:`hold` holds."""
    name = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(name, signed=True)
