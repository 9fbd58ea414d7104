"""What this node holds leased and has not begun, and how its workers wait for more."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Generic, TypeVar

Leased = TypeVar("Leased")

#: Above this, new work stays unleased in the database, where it costs no memory.
HANDED_LIMIT = 2000
#: A safety net in seconds, should a wake-up be lost.
_PATIENCE = 5.0
#: Seconds until a lane is looked for again that was due, and that another node is just taking.
_TAKEN = 0.005


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
    def room(self) -> int:
        """How many more may be handed over directly. Read by the writer's thread, too."""
        return max(0, HANDED_LIMIT - len(self._waiting))

    def offer(self, item: Leased) -> None:
        self._waiting.append(item)
        self._wake.set()

    def look(self) -> None:
        """Say that the database may hold work that can be claimed."""
        self.unclaimed = True
        self._wake.set()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look into the database for lanes to claim.

        To be entered before: what :meth:`look` tells meanwhile may have come too late for this
        look, and is seen by another. If this one fails, nothing has been looked at.
        """
        self.unclaimed = False
        try:
            yield
        except BaseException:
            self.look()
            raise

    def looked(self, *, more: bool, next_at: datetime | None) -> None:
        """Say what such a look has found.

        :param more: there may be more than was claimed.
        :param next_at: the earliest moment at which any other lane may be claimed.
        """
        self.unclaimed, self.next_at = self.unclaimed or more, next_at

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
            due_in = (self.next_at - now()).total_seconds()
            # Not at once: whoever has it locked may be frozen, and a look is a transaction.
            patience = min(patience, due_in if due_in > 0 else _TAKEN)
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
        if self._due is not None and self._due <= now():
            # The sweep before this has left it: another node holds its lane.
            await asyncio.sleep(_TAKEN)
            return
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
