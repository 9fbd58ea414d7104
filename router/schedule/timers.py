"""Timers: what falls due becomes an event of its lane."""

import anyio

from router.errors import StorageUnavailable
from router.failpoints import reach
from router.plugin.context import Log
from router.schedule.duty import Duty
from router.storage.store import Store

#: Seconds to wait while the database is away.
_STORAGE_PAUSE = 1.0


class Timers:
    """Fires what is due, until cancelled."""

    def __init__(self, store: Store, log: Log) -> None:
        self.duty = Duty("the timers", log)
        self._store = store
        self._log = log

    async def run(self) -> None:
        while True:
            await self.duty.turn(self._turn)

    async def _turn(self) -> None:
        """Fire what is due, and wait until more is."""
        try:
            while await self._store.fire_timers():
                reach("timers.fired")
        except StorageUnavailable as error:
            self._log.error("the database is away", error=str(error))
            await anyio.sleep(_STORAGE_PAUSE)
        else:
            await self._store.wait_timers()
