"""Read-only connections, beside whoever writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool


def _uri(path: Path) -> str:
    return f"file:{path}?mode=ro&uri=true"


def async_reader(path: Path) -> AsyncEngine:
    """Give an engine of short, read-only connections to a SQLite database."""
    return create_async_engine(f"sqlite+aiosqlite:///{_uri(path)}", pool_size=4, max_overflow=4)


@contextmanager
def reader(path: Path) -> Iterator[sa.Connection]:
    """Open a SQLite database read-only, beside a running daemon.

    :raises sqlalchemy.exc.OperationalError: if there is no such database.
    """
    engine = sa.create_engine(f"sqlite:///{_uri(path)}", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()
