"""What every test may ask for."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.browser import open_page

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.postgres import PostgresDatabase, PostgresServer

# The desk of whoever runs the tests is no business of theirs.
os.environ.pop("ROUTER_CONFIG", None)

# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("router", deadline=None)
settings.load_profile("router")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """SQLAlchemy's async engine knows asyncio only, and so does the daemon."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["PostgresServer"]:
    """A PostgreSQL server, started when the first test asks for it."""
    from tests.postgres import start_postgres

    with start_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: "PostgresServer") -> Iterator["PostgresDatabase"]:
    """An empty PostgreSQL database of the test's own."""
    with postgres_server.database() as database:
        yield database


@pytest.fixture
async def page() -> AsyncIterator["Page"]:
    """A page of a real browser."""
    async with open_page() as page:
        yield page
