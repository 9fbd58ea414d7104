"""What the phone page shows, read from the database in one go."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from router.domain.conversation import BOT, NOBODY
from router.domain.identity import Address, thread_key
from router.domain.message import Direction
from router.storage.decisions import DecisionView
from router.storage.messages import (
    ThreadMessage,
    ThreadState,
    ThreadSummary,
    recent_threads,
    thread,
    thread_state,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.storage.store import EventRef, Store
    from router.web.host import LiveChannel

_NUMBER = re.compile(r"\+?([0-9]{3,15})")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")

#: How many decisions stand beside the phone.
_CARDS = 12
#: How many messages the phone shows, and among how many of all channels they are looked for.
_SHOWN = 200
_LOOKED_AT = (200, 2000)


def read_address(text: str) -> Address:
    """Read an address as people write it: a telephone number, or ``scheme:value``.

    A plus sign that a form decoded to a space is no loss.

    :raises ValueError: if it is neither.
    """
    text = text.strip()
    if number := _NUMBER.fullmatch(re.sub(r"[ ()-]", "", text.removeprefix("tel:"))):
        return Address("tel", f"+{number[1]}")
    scheme, _, value = text.partition(":")
    if not value or not _SCHEME.fullmatch(scheme.lower()):
        message = f"{text!r} is neither a telephone number nor scheme:value"
        raise ValueError(message)
    return Address(scheme.lower(), value)


@dataclass(frozen=True, slots=True)
class Customer:
    """Whose phone it is."""

    channel: "LiveChannel"
    address: Address

    @property
    def shown(self) -> str:
        """The address as people write it."""
        return self.address.value if self.address.scheme == "tel" else str(self.address)

    def key(self, aliases: Mapping[tuple[str, str], str]) -> str:
        """Give the thread key, learnt aliases applied."""
        key = thread_key(self.address)
        return aliases.get((self.channel.tenant, key), key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A decision, and the words of the customer that it answers."""

    decision: DecisionView
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneView:
    """Everything that changes on the page while it is open.

    :param cards: newest first.
    :param recent: other customers of the channel.
    """

    messages: tuple[ThreadMessage, ...]
    cards: tuple[Card, ...]
    state: ThreadState | None
    recent: tuple[ThreadSummary, ...]

    @property
    def conversations(self) -> frozenset[str]:
        """The conversations that the page shows."""
        state = frozenset({self.state.conversation} if self.state else ())
        return state | {message.conversation for message in self.messages}

    @property
    def pending(self) -> str | None:
        """Say what the customer's open turn waits for: ``typing``, ``waiting`` or nothing."""
        last = next((it for it in reversed(self.messages) if it.direction is Direction.IN), None)
        if last is None or last.decision is not None:
            return None
        if last.outcome == "waiting":
            return "waiting"
        return "typing" if last.outcome == "asking" or (self.state and self.state.asking) else None

    @property
    def last_sent(self) -> ThreadMessage | None:
        """The newest message that a delivery report could be about."""
        return next(
            (it for it in reversed(self.messages) if it.ours and it.provider_id is not None),
            None,
        )

    @property
    def owner(self) -> str:
        """Who answers: ``bot``, ``nobody`` or ``person``."""
        owner = self.state.owner if self.state else BOT
        return owner if owner in (BOT, NOBODY) else "person"


async def phone_view(store: "Store", customer: Customer) -> PhoneView:
    """Read what the page shows of a customer.

    :raises StorageUnavailable: if the database is away.
    """
    tenant, key = customer.channel.tenant, customer.key(store.aliases)

    def read(connection: "Connection") -> PhoneView:
        messages = _on_channel(connection, customer, key)
        return PhoneView(
            messages=tuple(messages),
            cards=_cards(messages),
            state=thread_state(connection, tenant, key),
            recent=tuple(recent_threads(connection, tenant, customer.channel.name)),
        )

    return await store.read(read)


def _on_channel(connection: "Connection", customer: Customer, key: str) -> list[ThreadMessage]:
    """Give the newest messages of the customer on this channel, oldest first.

    Whoever has the phone gives any number as theirs: what the person who has it said elsewhere is
    none of the phone's.
    """
    tenant, name = customer.channel.tenant, customer.channel.name
    messages: list[ThreadMessage] = []
    for widest in _LOOKED_AT:
        found = thread(connection, tenant, key, limit=widest)
        messages = [message for message in found if message.channel == name]
        if len(messages) >= _SHOWN or len(found) < widest:
            break
    return messages[-_SHOWN:]


def _cards(messages: Sequence[ThreadMessage]) -> tuple[Card, ...]:
    said: dict[EventRef, list[str]] = {}
    decisions: dict[EventRef, DecisionView] = {}
    for message in messages:
        if message.decision is not None:
            event = message.decision.event
            decisions[event] = message.decision
            said.setdefault(event, []).append(message.text)
    newest = sorted(decisions.values(), key=lambda it: it.at, reverse=True)[:_CARDS]
    return tuple(Card(decision=it, said=tuple(said[it.event])) for it in newest)


def as_json(message: ThreadMessage) -> dict[str, Any]:
    """Give a message as scripts get it."""
    decision = message.decision
    return {
        "id": message.id,
        "direction": message.direction.value,
        "author": message.author.value,
        "text": message.text,
        "at": message.at.isoformat(),
        "status": message.status or "received",
        "decision": decision
        and {
            "outcome": decision.outcome,
            "rule": decision.rule,
            "category": decision.category,
            "event": str(decision.event),
        },
    }


def clock_time(moment: datetime, timezone: str) -> str:
    """Give hours and minutes where the tenant is."""
    return moment.astimezone(ZoneInfo(timezone)).strftime("%H:%M")
