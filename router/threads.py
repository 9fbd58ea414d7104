"""Threads for what blocks, a few for each purpose, so that nobody waits for another's."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")


class Threads:
    """Calls functions in threads of its own, so many at once.

    Whoever stops waiting for a call is let go at once, and its thread is abandoned: it counts
    until the call comes back, so that a disk that stalls holds no more of them. The process does
    not wait for it as it ends.

    For one event loop at a time.

    :param most: calls at once; others wait for their turn.
    """

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(self, function: Callable[[], _T]) -> _T:
        """Give what a function that blocks gives."""
        loop, context = asyncio.get_running_loop(), copy_context()
        done: Future[_T] = Future()
        done.set_running_or_notify_cancel()  # from now on nothing takes it back

        def work() -> None:
            try:
                done.set_result(context.run(function))
            except BaseException as error:  # noqa: BLE001 - it is for whoever waits
                done.set_exception(error)
            finally:
                with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                    loop.call_soon_threadsafe(self._free.release)

        await self._free.acquire()
        try:
            Thread(target=work, name=f"router {function!r}"[:80], daemon=True).start()
        except RuntimeError:
            self._free.release()
            raise
        return await asyncio.wrap_future(done)
