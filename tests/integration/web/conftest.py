"""The router of the API's tests, on each database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.web.api_site import Site, opened


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """A database's URL; ``None`` for a file of the test's own."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("migrated_postgres").url
    return url


@pytest.fixture
async def site(database_url: str | None, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path, database_url) as site:
        yield site
