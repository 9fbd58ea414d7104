"""Overwriting what is deleted, so that no file of the database holds it any more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


@contextmanager
def overwriting(connection: "Connection") -> Iterator[None]:
    """Let SQLite write zeros over what is deleted meanwhile; others clean up in their own time."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = int(connection.exec_driver_sql("PRAGMA secure_delete").scalar_one())
    # To set it, 2 is but another word for 1.
    word = "fast" if before == 2 else str(before)
    connection.exec_driver_sql("PRAGMA secure_delete = 1").close()
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA secure_delete = {word}").close()
