"""Limits one step higher and lower than the rules have them."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from string import ascii_lowercase
from typing import Any

from router.rules.fields import Type
from router.rules.suites.leaves import Leaf
from router.toml import KeyPath

_DAY = timedelta(days=1)


def stepped(leaf: Leaf) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Give, for each limit of a condition, where it stands, what it is, and what it is not."""
    type_ = leaf.field.type
    if type_ not in {Type.NUMBER, Type.DURATION, Type.TIME, Type.DATE}:
        return
    several = isinstance(leaf.value, list)
    for index, value in enumerate(leaf.value if several else [leaf.value]):
        for by in (1, -1):
            new = step(type_, value, by)
            if new is not None:
                yield ((index,) if several else ()), value, new


def step(type_: Type, value: Any, by: int) -> Any:
    """Give a limit one step on: of the last digit that is written, of a minute, of a day."""
    if type_ is Type.NUMBER:
        return _number(value, by)
    if type_ is Type.DURATION:
        return _duration(value, by)
    if type_ is Type.TIME:
        moment = time.fromisoformat(value) if isinstance(value, str) else value
        one = timedelta(seconds=1 if moment.second else 60)
        then = (datetime.combine(date(2026, 1, 2), moment) + by * one).time()
        return then.isoformat("seconds" if moment.second else "minutes")
    day = date.fromisoformat(value) if isinstance(value, str) else value
    return (day + by * _DAY).isoformat()


def _number(value: float, by: int) -> float | int:
    if isinstance(value, int):
        return value + by
    exact = Decimal(repr(value))
    exponent = exact.as_tuple().exponent
    last = Decimal(1).scaleb(min(exponent, 0)) if isinstance(exponent, int) else Decimal(0)
    return float(exact + by * last)


def _duration(value: str, by: int) -> str | None:
    digits = value.strip().rstrip(ascii_lowercase)
    number = Decimal(digits)
    exponent = number.as_tuple().exponent
    new = number + by * Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0)
    return None if new < 0 else f"{new}{value.strip()[len(digits) :]}"
