"""Counting what is under way, so that a drain can wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Busy:
    """How many things are under way."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = anyio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one thing while it is under way."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()
                self._idle = anyio.Event()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._count:
            await self._idle.wait()
