"""What is done again and again: a turn that breaks by a mistake of ours ends nothing else."""

import random
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from router.domain.outbox import Backoff
from router.errors import place_of, words_of
from router.plugin.context import Log

_BACKOFF: Final = Backoff(base=1.0, cap=300.0)
#: So many in a row are trouble; one or two may have been the moment's.
_TROUBLE: Final = 3


class Duty:
    """Takes the turns of a duty, each after one that broke later than the last.

    :param name: as it is told in the log and by ``router status``.
    """

    def __init__(self, name: str, log: Log, *, backoff: Backoff = _BACKOFF) -> None:
        self._name = name
        self._log = log
        self._backoff = backoff
        self._times = 0
        self._error = ""

    async def turn(self, take: Callable[[], Awaitable[object]]) -> None:
        """Take a turn; one that breaks is told, and rested after."""
        try:
            await take()
        except Exception as error:  # noqa: BLE001 - a worker's turn: our mistake stops one duty
            wait = self._backoff.delay(self._times, random.random())
            self._times, self._error = self._times + 1, words_of(error)
            self._log.error(
                "duty broke",
                duty=self._name,
                error=self._error,
                where=place_of(error),
                times=self._times,
            )
            await anyio.sleep(wait)
        else:
            self._times = 0

    def trouble(self) -> list[str]:
        """Say that it breaks again and again, for ``router status``."""
        if self._times < _TROUBLE:
            return []
        return [f"{self._name} broke {self._times} times: {self._error}"]
