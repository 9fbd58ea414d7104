"""Where time comes from, so that tests can own it."""

import re
import sys
import time
from datetime import UTC, datetime, timedelta
from time import monotonic as _monotonic
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A clock that is not shown to be further off is left alone, so that time does not jitter.
_NEAR = timedelta(milliseconds=50)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """What the router asks for the time. ``router.plugin.testing.FakeClock`` is the other one."""

    def now(self) -> datetime:
        """Give the wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go backwards, for measuring durations.

        While a machine is suspended they go on, where its system can tell them.
        """
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return _monotonic()


class FollowingClock:
    """A clock that goes by a server's, so that all machines that ask the server agree.

    In between it runs by the monotonic clock: whoever sets the machine's clock does not move it.

    :param own: the machine's; taken at its word until the server is first heard.
    """

    def __init__(self, own: Clock) -> None:
        self._own = own
        #: When the monotonic clock stood at zero.
        self._began = own.now() - timedelta(seconds=own.monotonic())

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self._own.monotonic())

    def monotonic(self) -> float:
        return self._own.monotonic()

    @property
    def ahead(self) -> timedelta:
        """How far the machine's own clock is ahead of the server's; negative if it is behind."""
        return self._own.now() - self.now()

    def follow(self, moment: datetime, asked: float) -> None:
        """Agree with what a server, which has just answered, said is the time.

        It looked at its clock at any moment between question and answer: what may be right within
        that stays, and a slow answer spoils nothing.

        :param asked: :meth:`monotonic` before the server was asked.
        """
        earliest = moment - timedelta(seconds=self.monotonic())
        latest = moment - timedelta(seconds=asked)
        if not earliest - _NEAR <= self._began <= latest + _NEAR:
            self._began = earliest + (latest - earliest) / 2


def to_micros(moment: datetime) -> int:
    """Give the integer microseconds since 1970 that SQLite stores. The moment must be aware."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Give the aware UTC moment of :func:`to_micros`."""
    return EPOCH + timedelta(microseconds=micros)


_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_LONGEST = 3650 * 86400.0
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Read a duration as people write it: ``"500ms"``, ``"15s"``, ``"2m"``, ``"24h"``, ``"7d"``.

    :raises ValueError: if it is none; the message says how to write one.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        message = 'must be a duration such as "15s", "2m", "24h" or "7d"'
        raise ValueError(message)
    length = float(match[1]) * _SECONDS[match[2]]
    if length > _LONGEST:
        message = 'must be a duration of at most "3650d"'
        raise ValueError(message)
    return length
