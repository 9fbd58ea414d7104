"""Calls to providers that are under way, so that they can be called off.

A node that was taken for dead has lost its work to others. A call that still waits for its turn, or
for an answer, would only come on top of what they do.
"""

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType

from router.errors import OutcomeUnknown


class CalledOff(OutcomeUnknown):
    """A call was called off. It is no fault of its provider's."""


class SelfCancelled(OutcomeUnknown):
    """A plugin's call ended in a cancellation that nobody asked for."""


class Contained(AbstractContextManager[None]):
    """Lets no cancellation out of a plugin's call but one that somebody asked this task for.

    Plugins have tasks of their own, and whoever awaits one that was cancelled gets the same error
    as if it were itself: two sends share one login, say, and the first one's time is up. Let out,
    it would end a task of ours without a word.

    :raises SelfCancelled: in its place.
    """

    __slots__ = ("_before", "_task")

    def __init__(self) -> None:
        self._before = 0
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not asyncio.CancelledError or self._task is None:
            return
        if self._task.cancelling() <= self._before:
            raise SelfCancelled("its plugin cancelled the call") from error


class Flights:
    """Calls under way."""

    def __init__(self) -> None:
        self._under_way: set[_Flight] = set()

    def one(self) -> AbstractContextManager[None]:
        """Let a call be called off.

        :raises CalledOff: if it was. Nobody can tell whether it was heard.
        """
        return _Flight(self._under_way)

    def call_off(self) -> int:
        """Call off all of them; say how many there were."""
        flights = tuple(self._under_way)
        for flight in flights:
            flight.call_off()
        return len(flights)


class _Flight(Contained):
    """One call. A scope of anyio does the same, and costs each message six times as much."""

    __slots__ = ("_all", "_off")

    def __init__(self, under_way: "set[_Flight]") -> None:
        super().__init__()
        self._all = under_way
        self._off = False

    def __enter__(self) -> None:
        super().__enter__()
        self._all.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._all.discard(self)
        if not self._off or self._task is None:
            super().__exit__(kind, error, traceback)
            return
        # Unless somebody else cancels it, too: then it ends.
        if self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise CalledOff(
                "this node was taken for dead while it waited for the answer"
            ) from error

    def call_off(self) -> None:
        if self._task is not None and not self._off:
            self._off = True
            self._task.cancel()
