"""Something that a person of the business has to do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TicketState(StrEnum):
    """NEW → IN_PROGRESS → RESOLVED → CLOSED; a resolved one may be opened again."""

    NEW = "NEW"
    IN_PROGRESS = "IN_PROGRESS"
    RESOLVED = "RESOLVED"
    CLOSED = "CLOSED"


#: From least to most urgent.
PRIORITIES = ("low", "normal", "high", "urgent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket, opened from a conversation.

    :param number: what people call it; counts from 1 in each tenant.
    :param event: the event that opened it, ``lane#seq``.
    """

    id: str
    tenant: str
    number: int
    conversation: str | None
    event: str | None
    queue: str
    title: str
    priority: str
    state: TicketState
    created_at: datetime
    updated_at: datetime
