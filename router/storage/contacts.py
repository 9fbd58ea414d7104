"""Contacts: what is learnt of a customer."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

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
    over, closed, so that the history is one. What comes in from either address from now on is one
    thread; what is already in the other lane is still worked there, in its own order.
    """
    tx.learn_alias(tenant, address, key)
    found = {
        row.key: row.id
        for row in tx.connection.execute(
            sa.select(contact.c.id, contact.c.key).where(
                contact.c.tenant == tenant, contact.c.key.in_([address, key])
            )
        )
    }
    if address in found and key in found:
        tx.connection.execute(
            sa.update(conversation)
            .where(conversation.c.contact == found[address], conversation.c.tenant == tenant)
            .values(contact=found[key], status="closed")
        )
