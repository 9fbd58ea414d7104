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

    :param seconds: for how long, at least.
    :param times: an answer is kept for so many times as long as it took to work out, if that is
        longer: however much there is to count, counting takes a small part of the time.
    """

    def __init__(self, clock: Clock, seconds: float, *, times: float = 0.0) -> None:
        self._clock = clock
        self._seconds = seconds
        self._times = times
        #: Until when each is kept.
        self._kept: dict[Hashable, tuple[float, Value]] = {}
        self._locks: dict[Hashable, anyio.Lock] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Value]]) -> Value:
        """Give what is kept for a key, else what ``make()`` gives."""
        lock = self._locks.setdefault(key, anyio.Lock())
        try:
            async with lock:
                now = self._clock.monotonic()
                kept = self._kept.get(key)
                if kept is not None and now < kept[0]:
                    return kept[1]
                value = await make()
                took = self._clock.monotonic() - now
                self._keep(key, value, max(self._seconds, took * self._times))
                return value
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(key, None)

    def _keep(self, key: Hashable, value: Value, seconds: float) -> None:
        now = self._clock.monotonic()
        self._kept = {other: entry for other, entry in self._kept.items() if now < entry[0]}
        if len(self._kept) < _LIMIT:
            self._kept[key] = (now + seconds, value)
