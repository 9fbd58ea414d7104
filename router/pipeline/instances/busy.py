"""Counting what is under way, so that a drain can wait for it."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import anyio


class Busy(AbstractContextManager["Busy", None]):
    """How many things are under way. Being inside of it is one of them."""

    def __init__(self) -> None:
        self._count = 0
        #: Set once nothing is; there while somebody waits for it.
        self._idle: anyio.Event | None = None

    def one(self) -> Self:
        """Count one thing while it is under way."""
        return self

    def __enter__(self) -> Self:
        self._count += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._count -= 1
        if not self._count and self._idle is not None:
            self._idle.set()
            self._idle = None

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._count:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()
