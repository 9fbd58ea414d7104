"""Noticing that a disk does not answer: no error, and no end of waiting."""

import asyncio
from collections.abc import Callable

#: So many looks without an answer to anybody are a stall.
_LOOKS = 10


class Waiting:
    """Counts who waits for answers of one kind.

    :ivar asked: how many asked; counted by whoever takes their questions.
    :ivar answered: how many of them were answered.
    """

    __slots__ = ("_quiet", "_seen", "answered", "asked")

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self._seen = 0
        self._quiet = 0

    def look(self) -> bool:
        """Look once more; say whether somebody waits, and nobody was answered for many looks."""
        still = self.asked > self.answered == self._seen
        self._quiet = self._quiet + 1 if still else 0
        self._seen = self.answered
        return self._quiet >= _LOOKS


class Stall:
    """Looks ten times within a patience whether anybody is answered.

    Looks are counted, and not the time: a process that was frozen itself finds nothing stalled.

    :param patience: seconds after which a disk that answers nobody counts as away.
    :param found: called when that is so.
    """

    def __init__(self, patience: float, found: Callable[[], None]) -> None:
        self._every = patience / _LOOKS
        self._found = found
        #: Those who wait until something is on disk, and those who wait until it is committed.
        self.kept = Waiting()
        self.committed = Waiting()
        #: Nobody has been answered for longer than the patience.
        self.lasts = False
        self._handle = asyncio.get_running_loop().call_later(self._every, self._look)

    def close(self) -> None:
        """Look no more."""
        self._handle.cancel()

    def _look(self) -> None:
        # Both, so that each counts on.
        kept, committed = self.kept.look(), self.committed.look()
        before, self.lasts = self.lasts, kept or committed
        if self.lasts and not before:
            self._found()
        self._handle = asyncio.get_running_loop().call_later(self._every, self._look)
