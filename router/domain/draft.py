"""Texts that wait for a person's word."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DraftState(StrEnum):
    """pending → approved (sent as it was) | edited (sent changed) | discarded (not sent)."""

    PENDING = "pending"
    APPROVED = "approved"
    EDITED = "edited"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer that a person may send, change or throw away.

    :param event: the event it answers, ``lane#seq``; its trace says why this is a draft.
    :param because: why it was not sent by itself.
    :param sent_text: what was sent in the end.
    """

    id: str
    tenant: str
    conversation: str
    event: str
    text: str
    because: str
    state: DraftState
    created_at: datetime
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    sent_text: str | None = None
