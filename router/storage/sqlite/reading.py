"""Read-only connections to a SQLite database, beside the one that writes."""

from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def read_only(path: Path, driver: str) -> sa.URL:
    """Give the address of a database as one that nothing is written to."""
    # Not as text: a name with a # or a ? in it would be cut there.
    name = f"file:{quote(str(path))}"
    return sa.URL.create(driver, database=name, query={"mode": "ro", "uri": "true"})


def async_reader(path: Path) -> AsyncEngine:
    """Give an engine of short, read-only connections to a SQLite database."""
    return create_async_engine(read_only(path, "sqlite+aiosqlite"), pool_size=4, max_overflow=4)
