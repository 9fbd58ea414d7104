"""How old something is, by a wall clock that people and time services set."""

from datetime import UTC, datetime, timedelta
from typing import Final

from router.clock import Clock

#: For how long a leap ahead is not believed. The services that keep a machine's time ask anew every
#: 1024 s (chrony, ntpd) or 2048 s (systemd-timesyncd) at the rarest: one wrong answer is put right
#: within that.
SETTLED: Final = timedelta(minutes=40)
#: What is longer is a leap. It makes little old that is kept, or waited for, for a day.
_LEAP: Final = timedelta(hours=1)
_NONE: Final = timedelta()


class Ages:
    """The time by which it is judged how old something is: a clock that leaps ages nothing.

    How much has really passed is told by the monotonic clock. It is minded from the first question
    on, by whichever thread asks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: When the monotonic clock stood at zero, as it is believed, and the earliest ever told.
        self._began = self._earliest = datetime.max.replace(tzinfo=UTC)
        #: When the clock was first found to have leapt, by the monotonic one.
        self._leapt: timedelta | None = None

    @property
    def ahead(self) -> timedelta:
        """How far the clock has leapt ahead, as long as that is not believed."""
        return self._look()[1]

    def now(self) -> datetime:
        """Give the time, less a leap that is not believed yet."""
        now, ahead = self._look()
        return now - ahead

    def at_least(self) -> datetime:
        """Give the time by which is deleted for good: less every leap, however long it has lasted.

        After a leap to the right time, things are deleted later, until the next start.
        """
        self._look()
        return self._earliest + timedelta(seconds=self._clock.monotonic())

    def _look(self) -> tuple[datetime, timedelta]:
        """Give the time by the wall clock, and how far it has leapt."""
        now, passed = self._clock.now(), timedelta(seconds=self._clock.monotonic())
        began = now - passed
        self._earliest = min(self._earliest, began)
        ahead = began - self._began
        if ahead > _LEAP:
            leapt = self._leapt  # another thread may be looking, too
            if leapt is None:
                leapt = self._leapt = passed
            if passed - leapt < SETTLED:
                return now, ahead
        if ahead > _LEAP or ahead < _NONE:
            self._began = began
        self._leapt = None
        return now, _NONE
