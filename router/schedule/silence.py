"""The silence alarm: an event that has no outcome for too long is an error in the log."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from router.clock import Clock
from router.domain.waits import Waits
from router.errors import StorageUnavailable
from router.plugin.context import Log
from router.schedule.duty import Duty
from router.settings.model import Settings
from router.storage.store import Store

if TYPE_CHECKING:
    from datetime import datetime

#: Seconds between two looks.
_EVERY: Final = 30.0

#: So many are named; of the others, how many they are.
_NAMED: Final = 20
#: Where whoever wants all of them by name finds them: not begun, and not answered.
_LISTED: Final = "router events list --open; router events list --outcome waiting --outcome asking"


class SilenceAlarm:
    """Looks for dead air, until cancelled.

    :param every: seconds between two looks.
    :ivar silent: what is silent now, by name, the oldest first.
    """

    def __init__(
        self,
        store: Store,
        settings: Callable[[], Settings],
        clock: Clock,
        log: Log,
        *,
        every: float = _EVERY,
    ) -> None:
        self.duty = Duty("the silence alarm", log)
        self._store = store
        self._settings = settings
        self._clock = clock
        self._log = log
        self._every = every
        self.silent: tuple[str, ...] = ()
        self._told: frozenset[str] = frozenset()
        self._waits = Waits()

    def trouble(self) -> list[str]:
        """Say what is silent now, for ``router status``: the oldest by name, and how many more."""
        named = [f"silent: {name}" for name in self.silent[:_NAMED]]
        more = len(self.silent) - len(named)
        return [*named, f"silent: and {more} more ({_LISTED})"] if more else named

    async def run(self) -> None:
        while True:
            await anyio.sleep(self._every)
            await self.duty.turn(self.look)

    async def look(self) -> None:
        """Look once, unless another node is just looking; say of each silent event once that it is.

        What a node has found is known to it until it looks again. Of several nodes only the eldest
        says it; the one that follows it says once more what is silent then.
        """
        try:
            async with self._store.alone("silence") as mine:
                if mine:
                    await self._look()
                    if await self._store.is_eldest():
                        self._tell()
        except StorageUnavailable:
            pass  # which has an alarm of its own

    async def _look(self) -> None:
        from router.storage.silence import unanswered  # here, because it brings SQLAlchemy

        found: dict[str, datetime] = {}
        for tenant in self._settings().tenants.values():
            patience = tenant.policy.silence_alarm
            if patience is None:
                continue
            now = self._clock.now()
            before = now - patience
            read = partial(unanswered, tenant=tenant.name, before=before, now=now)
            for name, came in (await self._store.read(read)).items():
                if (since := self._waits.since(name, came, now)) <= before:
                    found[name] = since
        self.silent = tuple(sorted(found, key=lambda name: (found[name], name)))

    def _tell(self) -> None:
        news = [name for name in self.silent if name not in self._told]
        for name in news[:_NAMED]:
            self._log.error("no outcome for too long", ref=name)
        if more := len(news[_NAMED:]):
            self._log.error("no outcome for too long", more=more, list=_LISTED)
        self._told = frozenset(self.silent)
