"""Telling pages what was committed, without ever making a commit wait for a page."""

import asyncio
from collections.abc import Iterable

from router.storage.store import Change

#: Changes kept for a listener that does not keep up; older ones are dropped.
_KEPT = 1000


class Listener:
    """One subscription. Iterate it with ``async for``; close it when done."""

    def __init__(self, hub: "Changes") -> None:
        self._hub = hub
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue(_KEPT)

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> Change:
        change = await self._queue.get()
        if change is None:
            raise StopAsyncIteration
        return change

    def put(self, change: Change | None) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(change)

    def close(self) -> None:
        """Stop listening; the iteration ends."""
        self._hub.drop(self)
        self.put(None)


class Changes:
    """All subscriptions of one node."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def subscribe(self) -> Listener:
        listener = Listener(self)
        self._listeners.add(listener)
        return listener

    def drop(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    def publish(self, changes: Iterable[Change]) -> None:
        """Tell every listener, each change once."""
        if self._listeners:
            for change in dict.fromkeys(changes):
                for listener in tuple(self._listeners):
                    listener.put(change)

    def close(self) -> None:
        for listener in tuple(self._listeners):
            listener.close()
