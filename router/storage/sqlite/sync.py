"""What was committed comes to the disk beside the next transactions.

``synchronous = FULL`` would let the writer wait for the disk in each COMMIT. Here a COMMIT only
writes to the log; a second thread has the log put on disk, once for all that was committed while
the time before was under way, and only then is anybody answered. What waits for nobody's answer,
such as deciding about an event that was just stored, begins meanwhile: the log is read from its
beginning after a power cut, so that whatever is lost then, all that was built on it is lost, too.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")

#: Puts a file's content on disk; macOS has no other than the slower one.
to_disk: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

#: Seconds after which what nobody waits for goes to the disk by itself; it mostly goes with what
#: follows from it.
_PATIENCE = 0.02


class Syncer(Generic[Waiting]):
    """The thread that puts the log on disk.

    :param database: open, and with a log.
    :param settle: called in this thread with those who waited, in the order of the commits, once
        the disk has what they wait for; with the error, if it did not take it.
    :param sync: puts a file, given its descriptor, on disk.
    """

    def __init__(
        self,
        database: Path,
        settle: Callable[[list[Waiting], OSError | None], None],
        sync: Callable[[int], None] = to_disk,
    ) -> None:
        self._settle = settle
        self._sync = sync
        # SQLite's locks are on other files: a lock is lost when any descriptor of its file closes.
        self._log = os.open(f"{database}-wal", os.O_RDWR | os.O_CLOEXEC)
        self._committed: SimpleQueue[Sequence[Waiting] | None] = SimpleQueue()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="sqlite-sync", daemon=True)
        self._thread.start()

    def put(self, waiting: Sequence[Waiting]) -> None:
        """Say that something was committed, and who waits for it to be on disk."""
        self._committed.put(waiting)

    def close(self) -> None:
        """Finish what was committed."""
        self._committed.put(None)
        self._thread.join()
        os.close(self._log)

    def _run(self) -> None:
        while self._open:
            waiting = self._next()
            try:
                self._sync(self._log)
            except OSError as error:
                self._settle(waiting, error)
            else:
                self._settle(waiting, None)

    def _next(self) -> list[Waiting]:
        """Wait until something is to be put on disk; give who waits for it."""
        waiting: list[Waiting] = []
        more, until = self._committed.get(), monotonic() + _PATIENCE
        while more is not None:
            waiting += more
            try:
                patience = 0.0 if waiting else max(0.0, until - monotonic())
                more = self._committed.get(timeout=patience)
            except Empty:
                return waiting
        self._open = False
        return waiting
