"""``[hours]``: when the business is open, by weekday, with holidays and days of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

from router.rules.operators import WEEKDAYS

_MIDNIGHT = time(0)
#: Hours that hold for a whole week hold always.
_LONGEST = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Interval:
    """From when to when; the end belongs to what follows, and may lie on the next day.

    The same time twice is a whole day.
    """

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    @property
    def overnight(self) -> bool:
        """Whether it ends on the day after."""
        return self.end <= self.start and self.end != _MIDNIGHT

    def begins_before(self, at: time) -> bool:
        """Say whether a time of the day on which it begins is in it."""
        return self.start <= at and (at < self.end or self.end <= self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When the business is open, on its own clock.

    :param week: the intervals of each weekday; a day that is not there is closed.
    :param days: the intervals of days of their own, which go before everything else.
    :param regions: whose holidays are kept, such as ``CO`` or ``BR-SP``; it is closed on them.
    """

    week: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    days: Mapping[date, tuple[Interval, ...]] = field(default_factory=dict)
    regions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Give the intervals of the week on one line."""
        days = (f"{day} {', '.join(map(str, its))}" for day, its in self.week.items() if its)
        return "; ".join(days)

    def holiday(self, day: date) -> bool:
        """Say whether a day is a holiday."""
        return any(day in holidays_of(region, day.year) for region in self.regions)

    def open(self, day: date, at: time) -> bool:
        """Say whether it is open then."""
        if any(each.begins_before(at) for each in self._of(day)):
            return True
        before = self._of(day - timedelta(days=1))
        return any(each.overnight and at < each.end for each in before)

    def over_at(self, now: datetime) -> datetime:
        """Give the earliest moment from now on at which none of the intervals holds.

        :param now: on the clock that the intervals are meant on; so is what is given.
        :raises ValueError: if there is none within a week and a day.
        """
        moment = now
        while self.open(moment.date(), moment.time()):
            if moment - now > _LONGEST:
                raise ValueError("these hours never end")
            moment = self._end(moment)
        return moment

    def _end(self, now: datetime) -> datetime:
        """Give when the interval ends that holds now and ends last."""
        day, at = now.date(), now.time()
        tomorrow = day + timedelta(days=1)
        ends = [
            datetime.combine(day if each.end > each.start else tomorrow, each.end, now.tzinfo)
            for each in self._of(day)
            if each.begins_before(at)
        ]
        ends += [
            datetime.combine(day, each.end, now.tzinfo)
            for each in self._of(day - timedelta(days=1))
            if each.overnight and at < each.end
        ]
        end = max(ends)
        # Where the clock is set back, the same time comes twice; where it is set forward, never.
        end = end if end.astimezone(UTC) > now.astimezone(UTC) else end.replace(fold=1)
        return end.astimezone(UTC).astimezone(now.tzinfo)

    def _of(self, day: date) -> tuple[Interval, ...]:
        if day in self.days:
            return self.days[day]
        if self.holiday(day):
            return ()
        return self.week.get(WEEKDAYS[day.weekday()], ())


@cache
def holidays_of(region: str, year: int) -> frozenset[date]:
    """Give the public holidays of a country, or of a part of it.

    :param region: a country's code, or one with a subdivision: ``ES-MD``.
    :raises LookupError: if there is no such region.
    """
    # Late: only rules files with holidays need it, and it takes 0.2 s.
    import holidays

    country, _, part = region.partition("-")
    if len(country) != 2 or not country.isupper():
        # The library knows countries by other names, too; one way to say a thing.
        raise LookupError(region)
    try:
        found: Any = holidays.country_holidays(country, subdiv=part or None, years=year)
    except NotImplementedError as error:
        raise LookupError(region) from error
    return frozenset(found)


def read_interval(text: str) -> Interval | None:
    """Read ``"09:00-18:00"``; ``None`` if it is no interval. 24:00 is the end of the day."""
    start, dash, end = (part.strip() for part in text.partition("-"))
    if not dash:
        return None
    try:
        return Interval(_moment(start), _MIDNIGHT if end == "24:00" else _moment(end))
    except ValueError:
        return None


def _moment(text: str) -> time:
    """Read ``"09:00"`` or ``"9:00"``."""
    moment = time.fromisoformat(text.zfill(5))
    if moment.tzinfo is not None:
        raise ValueError(text)
    return moment


def read_days(text: str) -> tuple[str, ...] | None:
    """Read ``"mon"`` or ``"mon-fri"``; ``None`` if these are no weekdays."""
    first, dash, last = text.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        return None
    at, to = WEEKDAYS.index(first), WEEKDAYS.index(last if dash else first)
    return tuple(WEEKDAYS[number % 7] for number in range(at, (to if to >= at else to + 7) + 1))
