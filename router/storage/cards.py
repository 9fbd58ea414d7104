"""Cards: what is known of somebody, in one short read."""

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from router.domain.ticket import TicketState
from router.plugin.people import Card, CardTurn
from router.storage.calls import summaries
from router.storage.tables import contact, conversation, message, ticket

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: The last messages and calls that a card has.
TURNS: Final = 10
CALLS: Final = 3

_OPEN: Final = (TicketState.NEW, TicketState.IN_PROGRESS)


def card(connection: "Connection", tenant: str, key: str) -> Card | None:
    """Give what is known of a contact; ``None``: nothing.

    What failed or was withdrawn was never read by the customer, and is left out.

    :param key: a thread key, aliases already applied.
    """
    known = connection.execute(
        sa.select(contact).where(contact.c.tenant == tenant, contact.c.key == key)
    ).first()
    if known is None:
        return None
    of_theirs = sa.and_(conversation.c.contact == known.id, conversation.c.tenant == tenant)
    rows = connection.execute(
        sa.select(message.c.author, message.c.text, message.c.created_at)
        .join(conversation, conversation.c.id == message.c.conversation)
        .where(
            of_theirs,
            message.c.tenant == tenant,
            message.c.text != "",
            sa.or_(message.c.status.is_(None), message.c.status.not_in(["failed", "withdrawn"])),
        )
        .order_by(message.c.created_at.desc(), message.c.id.desc())
        .limit(TURNS)
    ).all()
    tickets = connection.execute(
        sa.select(sa.func.count())
        .select_from(ticket)
        .join(conversation, conversation.c.id == ticket.c.conversation)
        .where(of_theirs, ticket.c.tenant == tenant, ticket.c.state.in_(_OPEN))
    ).scalar_one()
    return Card(
        id=known.id,
        name=known.name,
        language=known.language,
        tags=frozenset(known.tags),
        turns=tuple(
            CardTurn(author=it.author, text=it.text, at=it.created_at) for it in rows[::-1]
        ),
        calls=summaries(connection, tenant, known.id, limit=CALLS),
        open_tickets=tickets,
    )
