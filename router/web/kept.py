"""Answers that cost something, kept for a few seconds."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

from router.clock import Clock

Value = TypeVar("Value")

#: More different questions than this within their time are answered, but not kept.
_LIMIT = 64


class Kept(Generic[Value]):
    """Remembers what a question was answered, so that asking often costs no more than asking once.

    Those who ask while it is being worked out wait for that one answer. A failure is not kept.

    :param seconds: for how long.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._kept: dict[Hashable, tuple[float, Value]] = {}
        self._locks: dict[Hashable, anyio.Lock] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Value]]) -> Value:
        """Give what is kept for a key, else what ``make()`` gives."""
        lock = self._locks.setdefault(key, anyio.Lock())
        try:
            async with lock:
                now = self._clock.monotonic()
                kept = self._kept.get(key)
                if kept is not None and now - kept[0] < self._seconds:
                    return kept[1]
                value = await make()
                self._keep(key, value)
                return value
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(key, None)

    def _keep(self, key: Hashable, value: Value) -> None:
        now = self._clock.monotonic()
        self._kept = {
            other: entry for other, entry in self._kept.items() if now - entry[0] < self._seconds
        }
        if len(self._kept) < _LIMIT:
            self._kept[key] = (now, value)
