"""Pages of lists: a cursor says where the last one ended.

A cursor is a place in an order, and no secret: who changes one moves in their own list. It is
opaque all the same, because what it holds is nobody's business but ours.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import Field

from router.clock import from_micros, to_micros
from router.web.api.call import Call
from router.web.api.models import Input, Output, Page
from router.web.api.problems import Mistake, Wrong

if TYPE_CHECKING:
    from sqlalchemy import Connection

View = TypeVar("View")
Item = TypeVar("Item", bound=Output)

#: The most that one page holds.
MOST: Final = 200
_LONGEST: Final = 2000
_BIGGEST: Final = 2**63 - 1


class PageQuery(Input):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=MOST, description="At most so many items.")
    cursor: str | None = Field(
        None,
        max_length=_LONGEST,
        description="`next` of the page before. Only for the same list with the same filters.",
    )


@dataclass(frozen=True, slots=True)
class Order:
    """The order of one list.

    :param name: of the list; a cursor of another one is refused.
    :param kinds: of the values that make a place.
    :param place: gives where something stands.
    """

    name: str
    kinds: tuple[type, ...]
    place: Callable[[Any], Sequence[Any]]

    def cursor(self, view: Any) -> str:
        """Give a cursor to what comes behind something."""
        values = [to_micros(it) if isinstance(it, datetime) else it for it in self.place(view)]
        text = json.dumps([self.name, *values], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, cursor: str) -> list[Any]:
        """Give the place that a cursor stands for.

        :raises Mistake: if it is none of this list's.
        """
        wrong = Mistake(400, [Wrong("it is no cursor of this list", parameter="cursor")])
        try:
            padded = cursor.encode() + b"=" * (-len(cursor) % 4)
            found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, binascii.Error, RecursionError):
            raise wrong from None
        if not isinstance(found, list) or found[:1] != [self.name]:
            raise wrong
        values = found[1:]
        if len(values) != len(self.kinds):
            raise wrong
        try:
            return [_read(kind, value) for kind, value in zip(self.kinds, values, strict=True)]
        except (ValueError, OverflowError):
            raise wrong from None


def _read(kind: type, value: Any) -> Any:
    if kind is str:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError
        value.encode()  # half a surrogate is no text
        return value
    if type(value) is not int or abs(value) > _BIGGEST:
        raise ValueError
    return from_micros(value) if kind is datetime else value


async def page(
    call: Call,
    query: PageQuery,
    order: Order,
    model: type[Item],
    read: "Callable[[Connection, list[Any] | None, int], Sequence[Any]]",
) -> Page[Item]:
    """Read one page.

    :param read: gives what comes behind a place, so many at most.
    :raises Mistake: if the cursor is none.
    """
    before = None if query.cursor is None else order.read(query.cursor)
    views = await call.read(lambda it: read(it, before, query.limit + 1))
    shown = views[: query.limit]
    more = order.cursor(shown[-1]) if len(views) > len(shown) else None
    return Page[Item](items=[model.model_validate(view) for view in shown], next=more)
