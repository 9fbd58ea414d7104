"""What a model may see of a conversation."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from router.domain.answer import CallSummary, ContactCard, PromptTurn
from router.storage.calls import summaries
from router.storage.tables import contact, conversation, message


def turns(
    connection: sa.Connection, tenant: str, conversation_id: str, asked_seq: int, limit: int
) -> tuple[PromptTurn, ...]:
    """Give what was said before the open turn, oldest first.

    What failed or was withdrawn was never read by the customer, so a model does not see it either;
    what is still on its way will be.
    """
    pending = sa.select(sa.func.coalesce(conversation.c.turn_from, asked_seq)).where(
        conversation.c.id == conversation_id, conversation.c.tenant == tenant
    )
    rows = connection.execute(
        sa.select(message.c.direction, message.c.text, message.c.attachments)
        .where(
            message.c.tenant == tenant,
            message.c.conversation == conversation_id,
            sa.or_(message.c.text != "", message.c.attachments.is_not(None)),
            sa.or_(message.c.status.is_(None), message.c.status.not_in(["failed", "withdrawn"])),
            sa.or_(message.c.direction == "out", message.c.event_seq < pending.scalar_subquery()),
        )
        .order_by(message.c.created_at.desc(), message.c.id.desc())
        .limit(limit)
    ).all()
    return tuple(
        PromptTurn("user" if row.direction == "in" else "assistant", said)
        for row in reversed(rows)
        if (said := _said(row))
    )


def _said(row: sa.Row[Any]) -> str:
    """Give what was written, and what was said in voice notes."""
    spoken = (it.get("transcript") for it in row.attachments or ())
    return "\n".join(filter(None, (row.text, *spoken)))


def calls(
    connection: sa.Connection, tenant: str, conversation_id: str, since: datetime
) -> tuple[CallSummary, ...]:
    """Give the customer's last calls, oldest first, whichever conversation they belong to."""
    person = connection.scalar(
        sa.select(conversation.c.contact).where(
            conversation.c.id == conversation_id, conversation.c.tenant == tenant
        )
    )
    return () if person is None else summaries(connection, tenant, person, since=since)


def address(
    connection: sa.Connection, tenant: str, conversation_id: str
) -> tuple[str | None, str, str] | None:
    """Give the customer's name, their address and the channel; ``None``: no such conversation."""
    row = connection.execute(
        sa.select(contact.c.name, conversation.c.address, conversation.c.channel)
        .join(conversation, conversation.c.contact == contact.c.id)
        .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
    ).first()
    return None if row is None else (row.name, row.address, row.channel)


def card(connection: sa.Connection, tenant: str, conversation_id: str) -> ContactCard:
    """Give what a model may know of the customer."""
    row = connection.execute(
        sa.select(contact.c.name, contact.c.language)
        .join(conversation, conversation.c.contact == contact.c.id)
        .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
    ).first()
    return ContactCard() if row is None else ContactCard(row.name, row.language)
