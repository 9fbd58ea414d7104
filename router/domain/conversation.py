"""A customer's thread: who they are, who owns it, and what stands unanswered."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Final

from router.domain.identity import Address
from router.domain.message import Attachment
from router.domain.record import record

#: Owner of a conversation that the router answers.
BOT: Final = "bot"
#: Owner of a conversation that waits for a person. Any other owner is a person's name.
NOBODY: Final = "nobody"
#: Owner when somebody of the business wrote outside the router and we know no name.
SOMEBODY: Final = "person"


class ConversationStatus(StrEnum):
    """Where a conversation stands."""

    ACTIVE = "active"
    CLOSED = "closed"
    ESCALATED = "escalated"


@record(frozen=True, slots=True, kw_only=True)
class Contact:
    """A customer of one tenant."""

    id: str
    key: str
    name: str | None = None
    language: str | None = None
    opted_out: bool = False
    tags: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class TurnMessage:
    """One message of the customer's open turn.

    :param in_reply_to: the provider's id of the message that this answers.
    :param metadata: what else the provider told of it; see :class:`MessageReceived`.
    """

    seq: int
    text: str
    received_at: datetime
    attachments: tuple[Attachment, ...] = ()
    in_reply_to: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """What was written and what was said in voice notes, a line each."""
        if not self.attachments:
            return self.text
        spoken = (item.transcript for item in self.attachments)
        return "\n".join(filter(None, (self.text, *spoken)))


@record(frozen=True, slots=True, kw_only=True)
class Turn:
    """The customer's unanswered messages, oldest first.

    :param generation: counts the timers set for this conversation; an older timer is stale.
    :param pending_ask: the outbox item whose answer is awaited.
    """

    messages: tuple[TurnMessage, ...] = ()
    generation: int = 0
    pending_ask: str | None = None

    @property
    def text(self) -> str:
        """Everything the customer wrote or said since the last answer, a line a message."""
        return "\n".join([said for message in self.messages if (said := message.said)])

    @property
    def started_at(self) -> datetime | None:
        return self.messages[0].received_at if self.messages else None


@record(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One thread with one contact.

    :param channel: where the customer last wrote; answers leave there.
    :param address: the customer's address as it last came in; answers go there.
    :param owner: ``bot``, ``nobody`` (waits for a person) or a person's name.
    :param epoch: rises whenever a person speaks or takes over; what was decided under an older
        epoch may not leave any more.
    :param window_shut_at: when something left that the provider refused because the customer had
        written too long ago. Their next message opens the window again.
    :param bot_turns: answers by the bot since a person last wrote.
    :param last_activity_at: where its newest line stands; ``None`` for one that is new.
    """

    id: str
    contact: Contact
    channel: str
    address: Address
    status: ConversationStatus = ConversationStatus.ACTIVE
    source: str = "inbound"
    owner: str = BOT
    owner_since: datetime | None = None
    epoch: int = 0
    category: str | None = None
    risk: str | None = None
    priority: str | None = None
    language: str | None = None
    bot_turns: int = 0
    last_in_at: datetime | None = None
    window_shut_at: datetime | None = None
    last_person_at: datetime | None = None
    last_activity_at: datetime | None = None
    last_provider_id: str | None = None
    open_ticket: str | None = None
    tags: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)
    turn: Turn = Turn()
