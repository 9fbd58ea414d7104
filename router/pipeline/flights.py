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


class _Flight(AbstractContextManager[None]):
    """One call. A scope of anyio does the same, and costs each message six times as much."""

    __slots__ = ("_all", "_before", "_off", "_task")

    def __init__(self, under_way: "set[_Flight]") -> None:
        self._all = under_way
        self._off = False
        self._before = 0
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()
        self._all.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._all.discard(self)
        if not self._off or self._task is None:
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
