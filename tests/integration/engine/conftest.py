"""One engine per test, on every store that gives the guarantees."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.engine.harness import DATABASES, Engine, opened


@pytest.fixture(params=list(DATABASES))
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine on an empty database."""
    async with opened(request.param, tmp_path) as engine:
        yield engine
