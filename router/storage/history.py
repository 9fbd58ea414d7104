"""What a model may see of a conversation."""

import sqlalchemy as sa

from router.domain.answer import ContactCard, PromptTurn
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
        sa.select(message.c.direction, message.c.text)
        .where(
            message.c.tenant == tenant,
            message.c.conversation == conversation_id,
            message.c.text != "",
            sa.or_(message.c.status.is_(None), message.c.status.not_in(["failed", "withdrawn"])),
            sa.or_(message.c.direction == "out", message.c.event_seq < pending.scalar_subquery()),
        )
        .order_by(message.c.created_at.desc(), message.c.id.desc())
        .limit(limit)
    ).all()
    return tuple(
        PromptTurn("user" if row.direction == "in" else "assistant", row.text)
        for row in reversed(rows)
    )


def card(connection: sa.Connection, tenant: str, conversation_id: str) -> ContactCard:
    """Give what a model may know of the customer."""
    row = connection.execute(
        sa.select(contact.c.name, contact.c.language)
        .join(conversation, conversation.c.contact == contact.c.id)
        .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
    ).first()
    return ContactCard() if row is None else ContactCard(row.name, row.language)
