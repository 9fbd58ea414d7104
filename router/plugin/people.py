"""People: who somebody is, for a channel that has to answer on the spot."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from router.domain.answer import CallSummary
from router.domain.identity import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTurn:
    """One message of somebody's history.

    :param author: ``customer``, ``bot``, ``rule`` or ``person``.

    .. versionadded:: 1.1
    """

    author: Literal["customer", "bot", "rule", "person"]
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a customer.

    :param id: the contact's, ours; the same on every channel.
    :param turns: the last messages from and to them, oldest first, of all channels.
    :param calls: their last calls, oldest first.
    :param open_tickets: how many tickets about them are not closed.

    .. versionadded:: 1.1
    """

    id: str
    name: str | None = None
    language: str | None = None
    tags: frozenset[str] = frozenset()
    turns: tuple[CardTurn, ...] = ()
    calls: tuple[CallSummary, ...] = ()
    open_tickets: int = 0


class People(Protocol):
    """The customers of the channel's tenant, to read.

    .. versionadded:: 1.1
    """

    async def lookup(self, address: Address) -> Card | None:
        """Give what is known of whoever has this address on any channel; ``None``: nothing.

        Addresses that are one person are one here, as for messages: ``+52…`` and ``+521…``.

        :raises RouterError: if the database is away. Let it go: the host then gives the answer
            that :meth:`Channel.default_response` makes.
        """
        ...
