"""What breaks by a mistake of ours, item by item: tried again ever more rarely, and told."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.clock import Clock
from router.domain.outbox import Backoff
from router.errors import words_of

_BACKOFF: Final = Backoff(base=1.0, cap=300.0)
#: So many in a row are trouble; one or two may have been the moment's.
_TROUBLE: Final = 3
#: So long after its next try another node has done it, or a person has settled it.
_FORGOTTEN: Final = timedelta(minutes=1)
#: So many are named; of the others, how many they are.
_NAMED: Final = 20


@dataclass(slots=True)
class Broken:
    """An item whose turn broke.

    :ivar times: in a row, as far as this process knows.
    :ivar again_at: when it is tried again.
    """

    error: str
    times: int
    again_at: datetime


class Recurring:
    """The items whose turns broke on this node, until one ends as it should.

    Kept in memory: after a restart, which may have mended it, an item is soon tried again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._broken: dict[str, Broken] = {}

    def broke(self, item: str, error: Exception) -> Broken:
        """Note that an item's turn broke; give how often it has by now, and when it is due."""
        self._forget()
        before = self._broken.get(item)
        times = 0 if before is None else before.times
        wait = timedelta(seconds=_BACKOFF.delay(times, random.random()))
        found = self._broken[item] = Broken(words_of(error), times + 1, self._clock.now() + wait)
        return found

    def ended(self, item: str) -> None:
        """Note that an item's turn ended as it should."""
        if self._broken:
            self._broken.pop(item, None)

    def trouble(self) -> list[str]:
        """Say what breaks again and again, for ``router status``: some by name, how many more."""
        self._forget()
        found = [(name, it) for name, it in self._broken.items() if it.times >= _TROUBLE]
        named = [
            f"outbox item {name} broke {it.times} times (router outbox show {name}): {it.error}"
            for name, it in found[:_NAMED]
        ]
        more = len(found) - len(named)
        return [*named, f"{more} more outbox items break"] if more else named

    def _forget(self) -> None:
        past = self._clock.now() - _FORGOTTEN
        for name in [name for name, it in self._broken.items() if it.again_at < past]:
            del self._broken[name]
