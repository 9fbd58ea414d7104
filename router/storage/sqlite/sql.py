"""The writer's raw connection through SQLAlchemy, for the functions that are written once.

All of SQLAlchemy is loaded before the first of them runs, and by the event loop's thread alone. Its
modules import each other, so two threads that load them at once see half of them; and a statement
that is made while the ORM is half there (reading brings it) fails.
"""

import sqlite3
from typing import Any, NoReturn

import sqlalchemy as sa
import sqlalchemy.dialects.sqlite  # else whoever makes the engine loads it, in the writer's thread
import sqlalchemy.ext.asyncio
from sqlalchemy.pool import StaticPool


def wrap(raw: sqlite3.Connection) -> sa.Connection:
    """Give a SQLAlchemy connection over ``raw`` that can neither begin nor end a transaction.

    Call it outside a transaction: SQLAlchemy rolls back when it first connects.
    """
    engine = sa.create_engine(
        "sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None
    )
    connection = engine.connect()
    # Begun once and for life: this sends nothing, and keeps SQLAlchemy from beginning by itself.
    connection.begin()

    def forbidden(*_args: Any, **_options: Any) -> NoReturn:
        message = "the writer commits: a stray commit or rollback would be everybody's"
        raise RuntimeError(message)

    for name in ("commit", "rollback", "begin", "begin_nested", "close"):
        setattr(connection, name, forbidden)
    return connection
