"""Threads for what blocks, a few for each purpose, so that nobody waits for another's."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import Any, TypeVar

_T = TypeVar("_T")


def begin(function: Callable[[], _T]) -> Future[_T]:
    """Call a function in a thread of its own, for which the process does not wait as it ends.

    :return: what it gives or raises; it cannot be taken back.
    :raises RuntimeError: if the process gets no more threads; then nothing was called.
    """
    done: Future[_T] = Future()
    done.set_running_or_notify_cancel()  # from now on nothing takes it back

    def work() -> None:
        try:
            done.set_result(function())
        except StopIteration as error:  # which asyncio takes from no future: the wait never ended
            wrong = RuntimeError("what was called raised StopIteration")
            wrong.__cause__ = error
            done.set_exception(wrong)
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            done.set_exception(error)

    # Not in an executor's thread: the interpreter waits for those before it ends.
    Thread(target=work, name="router", daemon=True).start()
    return done


class Threads:
    """Calls functions in threads of its own, so many at once.

    Whoever stops waiting for a call is let go at once, and its thread is abandoned: it counts
    until the call comes back, so that a disk that stalls holds no more of them. The process does
    not wait for it as it ends.

    For one event loop at a time.

    :param most: calls at once; others wait for their turn.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = asyncio.Semaphore(most)
        self._abandoned: set[Future[Any]] = set()

    @property
    def all_hang(self) -> bool:
        """Whether all of them are abandoned, so that nobody knows when there will be a turn."""
        return len(self._abandoned) == self._most

    async def run(self, function: Callable[[], _T]) -> _T:
        """Give what a function that blocks gives, however long it waits for its turn."""
        await self.turn()
        return await self.call(function)

    async def turn(self) -> None:
        """Wait for a thread. It is taken until :meth:`call` uses it, which is to come next."""
        await self._free.acquire()

    def call(self, function: Callable[[], _T]) -> Awaitable[_T]:
        """Call a function in the thread that :meth:`turn` gave; wait for what this gives.

        :raises RuntimeError: at once, if the process gets no more threads.
        """
        loop = asyncio.get_running_loop()
        try:
            done = begin(partial(copy_context().run, function))
        except RuntimeError:
            self._free.release()
            raise
        done.add_done_callback(partial(self._came_back, loop))
        return self._given(done)

    async def _given(self, done: Future[_T]) -> _T:
        try:
            return await asyncio.wrap_future(done)
        except asyncio.CancelledError:
            if not done.done():
                self._abandoned.add(done)
            raise

    def _came_back(self, loop: asyncio.AbstractEventLoop, done: Future[Any]) -> None:
        """Note in the loop, and so never while :meth:`_given` looks, that a call came back."""
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(self._freed, done)

    def _freed(self, done: Future[Any]) -> None:
        self._abandoned.discard(done)
        self._free.release()
