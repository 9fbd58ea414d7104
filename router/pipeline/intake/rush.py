"""Rush: while webhooks crowd in they are stored first, and the work that they bring waits.

A provider that gets no answer in time sends again, or gives up: what is not acknowledged may be
lost, and what is stored is only late. So work gives way to a crowd. Not wholly, and not for long:
who wrote before it waits for an answer, and where more comes than can ever be worked, slow answers
are what tells the sender.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

#: So many webhooks in so many seconds are a crowd.
CROWD: Final = 20
MOMENT: Final = 0.04
#: Seconds without a crowd after which the rush is over. Work that is being done keeps others out
#: for a part of them.
LULL: Final = 0.1
#: Seconds after which work no longer gives way to the same rush.
LONGEST: Final = 5.0
#: Seconds that work waits at most for each batch during a rush, and how much it then takes.
PATIENCE: Final = 0.1
SMALL: Final = 16


class Rush:
    """Knows whether webhooks crowd in.

    :param clock: gives seconds that never go backwards.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._moment = clock()
        self._count = 0
        self._began = self._until = self._moment

    def knock(self) -> None:
        """Count a webhook that is about to be stored."""
        now = self._clock()
        if now > self._moment + MOMENT:
            self._moment, self._count = now, 0
        self._count += 1
        if self._count == CROWD:
            if now > self._until:
                self._began = now
            self._until = now + LULL

    async def give_way(self, most: int) -> int:
        """Wait while webhooks crowd in, for a tenth of a second at most.

        :param most: how much work would be taken at once.
        :returns: how much to take: less of it during a rush.
        """
        now = self._clock()
        patience = now + PATIENCE
        while now < (end := min(patience, self._over)):
            await asyncio.sleep(end - now)
            now = self._clock()
        return most if now >= self._over else min(most, SMALL)

    @property
    def _over(self) -> float:
        """When work no longer gives way, as it looks now."""
        return min(self._until, self._began + LONGEST)
