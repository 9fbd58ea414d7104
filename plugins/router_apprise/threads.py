"""The threads of one action: a service that hangs holds those, and no other action's."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import anyio

from router import plugin

#: Of one action.
MOST = 3

_T = TypeVar("_T")


class Threads:
    """Calls functions in threads, :data:`MOST` at once.

    A call that nobody waits for any more is stuck: its thread is abandoned, and counts until it
    ends by itself. The process does not wait for it.
    """

    def __init__(self) -> None:
        self._running: set[Future[Any]] = set()
        self._stuck: set[Future[Any]] = set()
        self._changed = anyio.Event()

    async def run(self, function: Callable[[], _T]) -> _T:
        """Give what a function that blocks gives; waits for a thread.

        :raises Unavailable: if all of them are stuck; then nothing was called.
        """
        while len(self._running) == MOST:
            if self._stuck == self._running:
                message = f"{MOST} earlier notices hang: a service takes them, and does not answer"
                raise plugin.Unavailable(message)
            await self._changed.wait()
        loop, done = asyncio.get_running_loop(), Future[_T]()
        done.set_running_or_notify_cancel()  # from now on nothing takes it back

        def work() -> None:
            try:
                done.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is for whoever waits
                done.set_exception(error)
            finally:
                with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                    loop.call_soon_threadsafe(self._ended, done)

        Thread(target=work, name="router_apprise", daemon=True).start()
        self._running.add(done)
        try:
            return await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            if done in self._running:
                self._stuck.add(done)
                self._tell()
            raise

    def _ended(self, done: Future[Any]) -> None:
        self._running.discard(done)
        self._stuck.discard(done)
        self._tell()

    def _tell(self) -> None:
        before, self._changed = self._changed, anyio.Event()
        before.set()
