"""The wall clock, set while the router runs: back, it would hold back what waits for a moment.

Ahead, it would make old what is not; see :mod:`router.ages`.
"""

from datetime import timedelta
from typing import Final

import anyio

from router.ages import SETTLED
from router.clock import EPOCH, Clock
from router.domain.limits import CLOCKS_APART
from router.errors import StorageUnavailable
from router.plugin.context import Log
from router.schedule.duty import Duty
from router.storage.store import Store

#: Seconds between two looks.
_PAUSE: Final = 2.0


class WallClock:
    """Notices that the wall clock was set back against the monotonic one, until cancelled.

    Steps that are no longer than nodes' clocks may lie apart do not matter, unless they add up.
    """

    def __init__(self, store: Store, clock: Clock, log: Log) -> None:
        self.duty = Duty("the look at the clock", log)
        self._store = store
        self._clock = clock
        self._log = log
        self._began = self._beginning()
        self._ahead = timedelta()

    async def run(self) -> None:
        while True:
            await anyio.sleep(_PAUSE)
            await self.duty.turn(self.look)

    async def look(self) -> None:
        """Look once; while the database is away, it is noticed the next time."""
        self._look_ahead()
        began = self._beginning()
        back = self._began - began
        if back <= CLOCKS_APART:
            # Set forward, what waits is only due sooner.
            self._began = max(self._began, began)
            return
        try:
            await self._store.clock_set_back(back)
        except StorageUnavailable:
            return  # it is told by whoever else needs it
        self._began = began
        self._log.warning("the clock was set back", seconds=round(back.total_seconds(), 1))

    def _look_ahead(self) -> None:
        before, self._ahead = self._ahead, self._store.ages.ahead
        if self._ahead and not before:
            minutes = SETTLED.total_seconds() / 60
            self._log.warning(
                "the clock was set ahead",
                seconds=round(self._ahead.total_seconds(), 1),
                means=(
                    f"for {minutes:g} min nothing counts as old by it: no conversation is closed "
                    "or handed back to the bot, no answer given up. What retention deletes is "
                    "counted by the time that really passes, until the router is started again"
                ),
            )

    def _beginning(self) -> timedelta:
        """Give when the monotonic clock stood at zero, by the wall clock."""
        return self._clock.now() - EPOCH - timedelta(seconds=self._clock.monotonic())
