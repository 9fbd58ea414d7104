"""What a provider's refusal says about a customer, taken up: window closed, opted out."""

from datetime import datetime

import sqlalchemy as sa

from router.domain.conversation import ConversationStatus
from router.errors import Refusal
from router.ids import new_id
from router.storage.conflicts import insert_missing
from router.storage.drafts import discard_theirs
from router.storage.fence import withdraw, withdraw_closed
from router.storage.tables import contact, conversation


def take_up(
    connection: sa.Connection,
    tenant: str,
    conversation_id: str,
    why: Refusal,
    sent_at: datetime,
    now: datetime,
) -> None:
    """Correct what we believed about a customer.

    :param sent_at: when the message left that was refused: what the customer has written since
        opens the window again.
    """
    if why is Refusal.WINDOW_CLOSED:
        _shut_window(connection, tenant, conversation_id, sent_at)
    elif why is Refusal.OPTED_OUT:
        here = sa.and_(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
        person = connection.execute(sa.select(conversation.c.contact).where(here)).scalar()
        if person is not None:
            _opt_out(connection, tenant, person, now)


def accept_opt_out(connection: sa.Connection, tenant: str, key: str, now: datetime) -> None:
    """Note that a customer wants no messages, in the transaction that accepts that they said so.

    Whoever is not known yet becomes known by it, so that nobody writes to them later.

    :param key: the contact's thread key.
    """
    values = {"id": new_id(), "tenant": tenant, "key": key, "created_at": now}
    empty = {"tags": [], "attributes": {}, "opted_out": True}
    who = sa.and_(contact.c.tenant == tenant, contact.c.key == key)
    refuse = sa.update(contact).where(who).values(opted_out=True)
    # Whoever is there may just be forgotten, because they have not written for so long.
    while not connection.execute(refuse).rowcount:
        if insert_missing(connection, contact, {**values, **empty}, key=("tenant", "key")):
            return
    person: str = connection.execute(sa.select(contact.c.id).where(who)).scalar_one()
    _opt_out(connection, tenant, person, now)


def _shut_window(
    connection: sa.Connection, tenant: str, conversation_id: str, sent_at: datetime
) -> None:
    connection.execute(
        sa.update(conversation)
        .where(conversation.c.id == conversation_id, conversation.c.tenant == tenant)
        .values(window_shut_at=sent_at)
    )


def _opt_out(connection: sa.Connection, tenant: str, contact_id: str, now: datetime) -> None:
    """Note that a customer wants no messages; withdraw what waits, and throw drafts away.

    As when they say so to us: the epoch rises, so that nothing decided before leaves after it.
    """
    row = connection.execute(
        sa.update(conversation)
        .where(
            conversation.c.contact == contact_id,
            conversation.c.tenant == tenant,
            conversation.c.status != ConversationStatus.CLOSED,
        )
        .values(epoch=conversation.c.epoch + 1)
        .returning(conversation.c.id, conversation.c.epoch)
    ).first()
    connection.execute(
        sa.update(contact)
        .where(contact.c.id == contact_id, contact.c.tenant == tenant)
        .values(opted_out=True)
    )
    why = "the customer opted out at the provider"
    sent = f"{why} before it was sent"
    if row is not None:
        withdraw(connection, tenant, row.id, row.epoch, sent, now)
    withdraw_closed(connection, tenant, contact_id, sent, now)
    discard_theirs(connection, tenant, contact_id, because=why, now=now)
