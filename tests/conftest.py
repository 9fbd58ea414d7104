"""What every test may ask for."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.browser import open_page

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.databases import Database
    from tests.postgres import PostgresDatabase, PostgresServer

# The desk of whoever runs the tests is no business of theirs.
os.environ.pop("ROUTER_CONFIG", None)

# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("router", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("router")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """SQLAlchemy's async engine knows asyncio only, and so does the daemon."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    """A PostgreSQL server, started when the first test asks for it."""
    from tests.postgres import start_postgres

    with start_postgres(in_memory=True) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: "PostgresServer") -> Iterator["PostgresDatabase"]:
    """An empty PostgreSQL database of the test's own."""
    with postgres_server.database() as database:
        yield database


@pytest.fixture
def migrated_postgres(postgres_server: "PostgresServer") -> Iterator["PostgresDatabase"]:
    """A PostgreSQL database of the test's own, with the schema and nothing else in it."""
    with postgres_server.database(migrated=True) as database:
        yield database


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and nothing else in it, to be copied."""
    from tests.databases import empty_sqlite

    path = tmp_path_factory.mktemp("migrated") / "router.db"
    empty_sqlite(path)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Database"]:
    """A database of each kind with the schema in it, for functions over a connection."""
    from tests.databases import Database

    if request.param == "sqlite":
        path = tmp_path / "functions.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        url = f"sqlite+aiosqlite:///{path}"
    else:
        url = request.getfixturevalue("migrated_postgres").url
    with Database(url) as database:
        yield database


@pytest.fixture
async def page() -> AsyncIterator["Page"]:
    """A page of a real browser."""
    async with open_page() as page:
        yield page
