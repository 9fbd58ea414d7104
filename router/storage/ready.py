"""What this node holds leased and has not begun, and how its workers wait for more."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

Leased = TypeVar("Leased")

#: Above this, new work stays unleased in the database, where it costs no memory.
HANDED_LIMIT = 2000
#: A safety net in seconds, should a wake-up be lost.
_PATIENCE = 5.0


class Ready(Generic[Leased]):
    """Leased work of one kind of lane, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[Leased] = deque()
        self._wake = asyncio.Event()
        #: There may be lanes in the database that nobody leases.
        self.unclaimed = True
        #: Nothing is given out any more.
        self.paused = False
        #: The earliest moment at which such a lane may be claimed.
        self.next_at: datetime | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether more may be handed over directly. Read by the writer's thread, too."""
        return len(self._waiting) < HANDED_LIMIT

    def offer(self, item: Leased) -> None:
        self._waiting.append(item)
        self._wake.set()

    def look(self) -> None:
        """Say that the database may hold work that can be claimed."""
        self.unclaimed = True
        self._wake.set()

    def take(self, limit: int) -> list[Leased]:
        """Give what is here, at most ``limit``."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(limit, len(waiting)))]

    def clear(self) -> None:
        """Forget what is here: its leases are given back."""
        self._waiting.clear()

    async def wait(self, now: Callable[[], datetime]) -> None:
        """Wait until there is something to take or to claim."""
        if self.paused:
            await asyncio.Event().wait()
        self._wake.clear()
        if self._waiting or self.unclaimed:
            return
        patience = _PATIENCE
        if self.next_at is not None:
            patience = min(patience, max(0.0, (self.next_at - now()).total_seconds()))
        try:
            async with asyncio.timeout(patience):
                await self._wake.wait()
        except TimeoutError:
            self.unclaimed = True


class Alarm:
    """The earliest moment at which a timer falls due, and how to wait for it."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._due: datetime | None = None

    def set(self, due: datetime | None) -> None:
        """Say what the database holds now."""
        self._due = due
        self._wake.set()

    def notice(self, due: datetime) -> None:
        """Say that a timer was set."""
        if self._due is None or due < self._due:
            self.set(due)

    async def wait(self, now: Callable[[], datetime]) -> None:
        """Wait until a timer is due, or for a few seconds at most."""
        patience = _PATIENCE
        while patience > 0 and not (self._due is not None and self._due <= now()):
            self._wake.clear()
            if self._due is not None:
                patience = min(patience, (self._due - now()).total_seconds())
            try:
                async with asyncio.timeout(max(patience, 0.0)):
                    await self._wake.wait()
            except TimeoutError:
                return
