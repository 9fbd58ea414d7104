"""Contacts: what is learnt of a customer."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from router.domain.conversation import BOT, ConversationStatus
from router.storage.store import Tx
from router.storage.tables import contact, conversation


def update_contact(
    connection: sa.Connection, tenant: str, contact_id: str, values: Mapping[str, Any]
) -> None:
    """Change columns of a contact."""
    connection.execute(
        sa.update(contact)
        .where(contact.c.id == contact_id, contact.c.tenant == tenant)
        .values(**values)
    )


def learn_address(tx: Tx, tenant: str, address: str, key: str) -> None:
    """Note that an address is the person known by ``key``.

    Whoever was known by that address alone becomes part of the person: their conversations move
    over, closed, so that the history is one; only a question that is not answered yet stays where
    its answer will look for it. A person who owned the one owns the other from now on, too, and
    who wanted no messages as either wants none. What comes in from either address from now on is
    one thread; what is already in the other lane is still worked there, in its own order.
    """
    tx.learn_alias(tenant, address, key)
    people = {
        row.key: row
        for row in tx.connection.execute(
            sa.select(contact.c.id, contact.c.key, contact.c.opted_out).where(
                contact.c.tenant == tenant, contact.c.key.in_([address, key])
            )
        )
    }
    if address not in people or key not in people:
        return
    former, person = people[address], people[key]
    if former.opted_out:
        update_contact(tx.connection, tenant, person.id, {"opted_out": True})
    other = sa.and_(conversation.c.contact == former.id, conversation.c.tenant == tenant)
    _hand_over(tx.connection, tenant, other, person.id)
    tx.connection.execute(
        sa.update(conversation)
        .where(other, conversation.c.turn_from.is_(None))
        .values(contact=person.id, status=ConversationStatus.CLOSED)
    )


def _hand_over(
    connection: sa.Connection, tenant: str, other: sa.ColumnElement[bool], person: str
) -> None:
    """Let whoever owns the open conversation of one contact own that of the other."""
    columns = (conversation.c.owner, conversation.c.owner_since, conversation.c.last_person_at)
    row = connection.execute(
        sa.select(*columns, conversation.c.status).where(
            other,
            conversation.c.status != ConversationStatus.CLOSED,
            conversation.c.owner != BOT,
        )
    ).first()
    if row is None:
        return
    connection.execute(
        sa.update(conversation)
        .where(
            conversation.c.contact == person,
            conversation.c.tenant == tenant,
            conversation.c.status != ConversationStatus.CLOSED,
            conversation.c.owner == BOT,
        )
        .values(**row._mapping, epoch=conversation.c.epoch + 1)  # noqa: SLF001 - its public name
    )
