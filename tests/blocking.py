"""A library that blocks the thread it is called in, as those of many vendors do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio.to_thread

#: Seconds after which a call comes back all the same, so that a test fails and does not hang.
RESCUE = 30.0


class Library:
    """Its calls come back when it is let go.

    :ivar called: how many there were.
    :ivar came_back: how many did.
    """

    def __init__(self) -> None:
        self.called = self.came_back = 0
        self._let_go = threading.Event()

    async def wait(self) -> None:
        """Call it as a plugin does, in one of the threads that all of them share."""
        await anyio.to_thread.run_sync(self.call)

    def call(self) -> None:
        self.called += 1
        self._let_go.wait(RESCUE)
        self.came_back += 1

    def let_go(self) -> None:
        self._let_go.set()


@contextmanager
def blocking() -> Iterator[Library]:
    """Give a library that blocks until the context ends."""
    library = Library()
    try:
        yield library
    finally:
        library.let_go()
