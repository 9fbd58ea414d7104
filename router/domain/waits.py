"""Since when things wait, where the clock may have been set back after they began to."""

from datetime import datetime
from typing import Final

from router.domain.limits import CLOCKS_APART

#: So many are known that seem to begin in the future; of more, the newest.
MOST: Final = 10_000


class Waits:
    """Believes when things began to wait, unless that lies in the future.

    What does was kept before the clock was set back. It counts from when it was first asked about:
    for what is given up after a while the step makes that while no longer than twice as long.
    """

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}

    def since(self, name: str, kept: datetime, now: datetime) -> datetime:
        """Give since when something waits.

        :param kept: when it began, as it was kept.
        """
        if kept <= now + CLOCKS_APART:
            self._seen.pop(name, None)
            return kept
        if len(self._seen) == MOST and name not in self._seen:
            del self._seen[next(iter(self._seen))]
        seen = self._seen[name] = min(self._seen.get(name, now), now)
        return seen
