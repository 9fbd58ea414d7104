"""The end of the process, which nothing that hangs may put off.

Python waits for every thread before it exits. One that never comes back, such as a read from a
network drive that is gone, would keep a router that has long stopped from being started again.
"""

import asyncio
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

#: Seconds that a stop may take beyond ``drain``: requests under way get some of them, and plugins
#: and the database are closed.
GRACE = 15.0
#: The same for whoever asks twice.
HASTE = 3.0
#: Seconds in which what still runs after an orderly stop may end by itself.
_REST = 2.0
#: Seconds for telling why: the log itself may be what hangs.
_TELLING = 2.0

#: Packages that only carry a call into a thread, and say nothing of what it does there.
_CARRIERS = ("threading", "concurrent", "asyncio", "anyio")


class Ending:
    """Ends the process by force where it does not end by itself in time.

    :param end: ends the process with a status.
    """

    def __init__(self, log: Any, *, end: Callable[[int], object] = os._exit) -> None:
        self._log = log
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._deadline: float | None = None
        #: Of an orderly stop.
        self._status: int | None = None

    def within(self, seconds: float) -> None:
        """Let the process last so many seconds at most; what was said before counts if it is less.

        It ends with status 1 then, and the log names what was still running.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            counts = self._deadline is not None
            self._deadline = min(deadline, self._deadline or deadline)
            self._changed.notify()
        if not counts:
            with suppress(RuntimeError):  # no thread can be had: then it ends by itself or not
                threading.Thread(target=self._count, name="ending", daemon=True).start()

    def stopped(self, status: int) -> None:
        """Note that all is closed: whatever threads still do, the process ends with this status."""
        self._status = status
        self.within(_REST)

    def _count(self) -> None:
        with self._changed:
            while self._deadline is not None and (left := self._deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        if self._status is not None and self._loop.is_closed() and not _threads():
            return  # It is exiting.
        telling = threading.Thread(target=self._tell, daemon=True)
        with suppress(RuntimeError):  # then it ends without a word
            telling.start()
            telling.join(_TELLING)
        self._end(1 if self._status is None else self._status)

    def _tell(self) -> None:
        threads = _named(map(_doing, _threads()))
        if self._status is not None:
            self._log.warning("not waiting for threads that do not end", threads=threads)
        else:
            tasks = _named(task.get_name() for task in asyncio.all_tasks(self._loop))
            self._log.error("the stop takes too long: ended", tasks=tasks, threads=threads)
        sys.stdout.flush()
        sys.stderr.flush()


def _threads() -> list[threading.Thread]:
    """Give the threads that Python waits for as it exits."""
    main = threading.main_thread()
    return [each for each in threading.enumerate() if not each.daemon and each is not main]


def _doing(thread: threading.Thread) -> str:
    """Name a thread, and the function that it was made or borrowed for, as far as that is known."""
    calls: list[str] = []
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - there is no other way
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _CARRIERS:
            calls.append(f"{module}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return f"{thread.name}: {calls[-1]}" if calls else thread.name


def _named(names: Iterable[str]) -> list[str]:
    """Give names in order, each once, with their number where they are several."""
    return [f"{name} ({n})" if n > 1 else name for name, n in sorted(Counter(names).items())]
