"""Read-only connections, beside whoever writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool


def _url(path: Path, driver: str) -> sa.URL:
    # Not as text: a name with a # or a ? in it would be cut there.
    name = f"file:{quote(str(path))}"
    return sa.URL.create(driver, database=name, query={"mode": "ro", "uri": "true"})


def async_reader(path: Path) -> AsyncEngine:
    """Give an engine of short, read-only connections to a SQLite database."""
    return create_async_engine(_url(path, "sqlite+aiosqlite"), pool_size=4, max_overflow=4)


@contextmanager
def reader(path: Path) -> Iterator[sa.Connection]:
    """Open a SQLite database read-only, beside a running daemon.

    :raises sqlalchemy.exc.OperationalError: if there is no such database.
    """
    engine = sa.create_engine(_url(path, "sqlite"), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()
