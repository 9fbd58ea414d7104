"""A shell in a folder with a configuration: what is run there, and what it said."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from tests.integration.engine.harness import Engine, opened

Run = Callable[..., "Ran"]
CONFIG = """
[router]
database = "sqlite+aiosqlite:///router.db"

[channels.phone]
type = "simulator"

[tenants.acme.channels.line]
type = "simulator"
"""


class Ran:
    """What a command did."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@asynccontextmanager
async def closed_later(desk: Path) -> AsyncIterator[Engine]:
    """Write to the database, and leave it to the commands."""
    async with opened("sqlite", desk) as engine:
        yield engine


async def shown(run: Run, *words: str) -> Ran:
    """Run a command outside the event loop, as another process would."""
    return await anyio.to_thread.run_sync(run, *words)
