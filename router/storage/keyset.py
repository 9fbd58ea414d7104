"""Pages by keys: where a page ended says where the next one begins, whatever comes in meanwhile."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

#: The columns by which a list is in order, each with whether it falls.
Order: TypeAlias = Sequence[tuple[sa.ColumnElement[Any], bool]]


def behind(order: Order, place: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Say that a row comes behind a place in an order.

    The first column is also bounded by itself, so that an index on it finds where to begin.

    :param place: the values of the order's columns, none of them NULL.
    """
    if len(order) != len(place):
        message = f"a place in an order of {len(order)} columns has {len(place)} values"
        raise ValueError(message)
    column, falls = order[0]
    bound = column <= place[0] if falls else column >= place[0]
    ways = []
    for number, (each, down) in enumerate(order):
        value = place[number]
        same = [before == place[at] for at, (before, _) in enumerate(order[:number])]
        ways.append(sa.and_(*same, each < value if down else each > value))
    return sa.and_(bound, sa.or_(*ways))


def in_order(order: Order) -> list[sa.ColumnElement[Any]]:
    """Give what to order by."""
    return [column.desc() if falls else column.asc() for column, falls in order]
