"""A clock that tests own."""

from datetime import UTC, datetime, timedelta

_START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday morning


class FakeClock:
    """A :class:`router.clock.Clock` that stands still until it is told otherwise.

    .. versionadded:: 1.0
    """

    def __init__(self, start: datetime = _START) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, step: timedelta | float) -> None:
        """Let time pass; a number is seconds. Negative steps are a mistake: see :meth:`set`.

        :raises ValueError: if the step is negative.
        """
        step = step if isinstance(step, timedelta) else timedelta(seconds=step)
        if step < timedelta(0):
            message = "time only goes forward; to turn the wall clock back, use set()"
            raise ValueError(message)
        self._now += step
        self._monotonic += step.total_seconds()

    def set(self, moment: datetime) -> None:
        """Set the wall clock, in either direction, as a person or NTP may. Monotonic time stays."""
        self._now = moment
