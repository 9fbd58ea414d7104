"""The silence alarm: an event that has no outcome for too long is an error in the log."""

from collections.abc import Callable
from functools import partial

import anyio

from router.clock import Clock
from router.errors import StorageUnavailable
from router.plugin.context import Log
from router.settings.model import Settings
from router.storage.store import Store

#: Seconds between two looks.
_PAUSE = 30.0


class SilenceAlarm:
    """Looks for dead air, until cancelled.

    :ivar silent: what is silent now, by name; shown by ``router status``.
    """

    def __init__(
        self, store: Store, settings: Callable[[], Settings], clock: Clock, log: Log
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._log = log
        self.silent: tuple[str, ...] = ()

    async def run(self) -> None:
        while True:
            await anyio.sleep(_PAUSE)
            await self.look()

    async def look(self) -> None:
        """Look once, unless another node is just looking; say of each silent event once that it is.

        What a node has found is known to it until it looks again.
        """
        try:
            async with self._store.alone("silence") as mine:
                if mine:
                    await self._look()
        except StorageUnavailable:
            pass  # which has an alarm of its own

    async def _look(self) -> None:
        from router.storage.silence import unanswered  # here, because it brings SQLAlchemy

        found: list[str] = []
        for tenant in self._settings().tenants.values():
            patience = tenant.policy.silence_alarm
            if patience is None:
                continue
            before = self._clock.now() - patience
            read = partial(unanswered, tenant=tenant.name, before=before)
            found += await self._store.read(read)
        for name in found:
            if name not in self.silent:
                self._log.error("no outcome for too long", event=name)
        self.silent = tuple(found)
