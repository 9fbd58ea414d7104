"""The threads of one instance, for libraries that block."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from router.errors import NoConnection, Unavailable
from router.threads import Threads

#: Of one instance, those that hang included.
MOST: Final = 16

_T = TypeVar("_T")


class InstanceThreads:
    """Calls functions in threads, :data:`MOST` at once; see :meth:`PluginContext.in_thread`.

    :param patience: seconds that a call waits for a thread. Shorter than the host's own limit on
        the whole call, which would make an unknown outcome of what was never begun.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._threads = Threads(MOST)

    async def run(self, function: Callable[[], _T]) -> _T:
        """Give what a function that blocks gives.

        :raises Unavailable: if no thread came free; nothing was called.
        """
        threads = self._threads
        try:
            async with asyncio.timeout(0 if threads.all_hang else self._patience):
                await threads.turn()
        except TimeoutError:
            if threads.all_hang:
                raise Unavailable(f"{MOST} earlier calls hang: they did not come back") from None
            raise NoConnection(f"all {MOST} threads of this instance are in use") from None
        try:
            call = threads.call(function)
        except RuntimeError as error:
            raise NoConnection(f"there is no thread for it: {error}") from error
        return await call
