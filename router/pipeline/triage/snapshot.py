"""The thread as it stood when an event was worked: kept with the trace, read back for a replay.

Only what differs from a new thread is kept, and of the turn the numbers of its messages: their
texts are in the inbox. :func:`restored` gives the thread back as the decision saw it.

================  ================================================================================
``at``            the clock, in microseconds since 1970, UTC
``remembers``     true where what was said lately is kept, because the rules count it
``contact``       what was known of the customer; missing where nobody knew them
``conversation``  where their open conversation stood; missing where there was none
``known``         of a call: whether it was known, and where the customer had ever written
================  ================================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.clock import from_micros, to_micros
from router.domain.conversation import (
    BOT,
    Contact,
    Conversation,
    ConversationStatus,
    Turn,
    TurnMessage,
)
from router.domain.identity import Address
from router.storage.store import Known, Work, Wrote

#: The name under which a trace has it.
BEFORE: Final = "before"

_WORDS: Final = ("source", "owner", "category", "risk", "priority", "language", "open_ticket")
_MOMENTS: Final = ("owner_since", "last_in_at", "last_person_at", "window_shut_at")
_COUNTS: Final = ("epoch", "bot_turns")
_USUAL: Final = {"source": "inbound", "owner": BOT}
#: Stands for an answer that was awaited, where the event is not that answer.
_AWAITED: Final = "awaited"


@dataclass(frozen=True, slots=True)
class Restored:
    """A thread, read back.

    :param remembers: whether the conversation's attributes hold what was said lately.
    """

    at: datetime
    remembers: bool
    contact: Contact | None
    conversation: Conversation | None
    known: Known | None = None


def snapshot(work: Work, now: datetime, *, remembers: bool) -> dict[str, Any]:
    """Give the thread before an event as values for JSON."""
    values: dict[str, Any] = {"at": to_micros(now)}
    if remembers:
        values["remembers"] = True
    if work.contact is not None:
        values["contact"] = _contact(work.contact)
    if work.conversation is not None:
        values["conversation"] = _conversation(work.conversation)
    if work.known is not None:
        wrote = [[it.channel, str(it.address), to_micros(it.at)] for it in work.known.wrote]
        values["known"] = {"call": work.known.call, "wrote": wrote}
    return values


def restored(
    values: Mapping[str, Any],
    *,
    lane_key: str,
    conversation: str,
    item: str | None,
    messages: Callable[[int], TurnMessage],
) -> Restored:
    """Read :func:`snapshot` back.

    :param lane_key: the contact's key.
    :param conversation: the id of the conversation that the event belongs to.
    :param item: the question that the event answers, if it is an answer.
    :param messages: gives a message of the turn by its number.
    :raises LookupError: if a message of the turn is not there.
    """
    at = from_micros(values["at"])
    remembers = bool(values.get("remembers"))
    person, known = values.get("contact"), _known(values.get("known"))
    contact = None
    if person is not None:
        contact = Contact(
            id="contact",
            key=lane_key,
            name=person.get("name"),
            language=person.get("language"),
            opted_out=person.get("opted_out", False),
            tags=frozenset(person.get("tags", ())),
            attributes=person.get("attributes", {}),
        )
    stood = values.get("conversation")
    if contact is None or stood is None:
        return Restored(at, remembers, contact, None, known)
    turn = Turn(
        messages=tuple(messages(number) for number in stood.get("turn", ())),
        generation=stood.get("generation", 0),
        pending_ask=(item or _AWAITED) if stood.get("asked") else None,
    )
    words: dict[str, Any] = {name: stood[name] for name in (*_WORDS, *_COUNTS) if name in stood}
    words |= {name: from_micros(stood[name]) for name in _MOMENTS if name in stood}
    return Restored(
        at,
        remembers,
        contact,
        Conversation(
            id=conversation,
            contact=contact,
            channel=stood["channel"],
            address=Address.from_text(stood.get("address", lane_key)),
            status=ConversationStatus(stood.get("status", ConversationStatus.ACTIVE)),
            tags=frozenset(stood.get("tags", ())),
            attributes=stood.get("attributes", {}),
            turn=turn,
            **words,
        ),
        known,
    )


def _known(values: Mapping[str, Any] | None) -> Known | None:
    if values is None:
        return None
    return Known(
        call=values["call"],
        wrote=tuple(
            Wrote(channel, Address.from_text(address), from_micros(at))
            for channel, address, at in values["wrote"]
        ),
    )


def _contact(contact: Contact) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if contact.name is not None:
        values["name"] = contact.name
    if contact.language is not None:
        values["language"] = contact.language
    if contact.opted_out:
        values["opted_out"] = True
    if contact.tags:
        values["tags"] = sorted(contact.tags)
    if contact.attributes:
        values["attributes"] = dict(contact.attributes)
    return values


def _conversation(conversation: Conversation) -> dict[str, Any]:
    values: dict[str, Any] = {"channel": conversation.channel}
    address = str(conversation.address)
    if address != conversation.contact.key:
        values["address"] = address
    if conversation.status is not ConversationStatus.ACTIVE:
        values["status"] = str(conversation.status)
    for name in _WORDS:
        word = getattr(conversation, name)
        if word is not None and word != _USUAL.get(name):
            values[name] = word
    for name in _COUNTS:
        if count := getattr(conversation, name):
            values[name] = count
    for name in _MOMENTS:
        moment = getattr(conversation, name)
        if moment is not None:
            values[name] = to_micros(moment)
    if conversation.tags:
        values["tags"] = sorted(conversation.tags)
    if conversation.attributes:
        values["attributes"] = dict(conversation.attributes)
    turn = conversation.turn
    if turn.messages:
        values["turn"] = [message.seq for message in turn.messages]
    if turn.generation:
        values["generation"] = turn.generation
    if turn.pending_ask is not None:
        values["asked"] = True
    return values
