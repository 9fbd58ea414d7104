"""Letting customers back in who wanted no more messages: who said so, when and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from router.domain.conversation import BOT, NOBODY
from router.errors import ActRefused, NotFound
from router.ids import new_id
from router.storage.conversations import keys_meant, show_conversation
from router.storage.tables import contact, conversation, opt_in

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class OptInView:
    """A customer who may be written to again.

    :param contact: their address, as the key of their thread.
    :param by: the person who says so.
    :param because: what they rest it on, in their words.
    """

    id: str
    at: datetime
    contact: str
    by: str
    because: str


def let_in(
    connection: "Connection", tenant: str, name: str, *, by: str, because: str, now: datetime
) -> OptInView:
    """Let a customer be written to again, and keep who said so and why.

    What was withdrawn or thrown away when they opted out stays so: nothing is sent by this.

    :param name: a conversation's id, or the customer's address, which needs no conversation.
    :raises NotFound: if the tenant knows nobody of this name.
    :raises ActRefused: if they have not opted out, or ``by`` is no person's name.
    """
    if by in (BOT, NOBODY):
        raise ActRefused(f'"{by}" is not a person. Say who lets them in')
    people = connection.execute(_people(connection, tenant, name).with_for_update()).all()
    if not people:
        raise NotFound(f'there is no conversation or customer "{name}"')
    person = people[0]
    if not person.opted_out:
        raise ActRefused(f"{person.key} has not opted out")
    connection.execute(
        sa.update(contact)
        .where(contact.c.id == person.id, contact.c.tenant == tenant)
        .values(opted_out=False)
    )
    view = OptInView(id=new_id(), at=now, contact=person.key, by=by, because=because)
    connection.execute(
        sa.insert(opt_in).values(
            id=view.id,
            tenant=tenant,
            contact=person.id,
            by=by,
            because=because,
            created_at=now,
        )
    )
    return view


def has_opted_out(connection: "Connection", tenant: str, name: str) -> bool:
    """Say whether a tenant has a customer of this name who wants no messages.

    :param name: as :func:`let_in` takes it.
    """
    person = connection.execute(_people(connection, tenant, name).limit(1)).first()
    return person is not None and bool(person.opted_out)


def _people(connection: "Connection", tenant: str, name: str) -> sa.Select[tuple[str, str, bool]]:
    """Select whom a name means, those first who have opted out."""
    try:
        view = show_conversation(connection, tenant, name)
    except NotFound:
        view = None
    # An address may be that of several contacts, and only one of them has the newest thread.
    exact = view is not None and view.id == name
    keys = [view.key] if view and exact else keys_meant(connection, tenant, name)
    return (
        sa.select(contact.c.id, contact.c.key, contact.c.opted_out)
        .where(contact.c.tenant == tenant, contact.c.key.in_(keys))
        .order_by(contact.c.opted_out.desc(), contact.c.id)
    )


def opt_ins_of(
    connection: "Connection", tenant: str, conversation_id: str, *, limit: int = 20
) -> list[OptInView]:
    """Give when the customer of a conversation was let back in, the oldest first."""
    rows = connection.execute(
        sa.select(opt_in, contact.c.key)
        .join(contact, contact.c.id == opt_in.c.contact)
        .join(conversation, conversation.c.contact == contact.c.id)
        .where(
            opt_in.c.tenant == tenant,
            conversation.c.tenant == tenant,
            conversation.c.id == conversation_id,
        )
        .order_by(opt_in.c.created_at.desc(), opt_in.c.id.desc())
        .limit(limit)
    ).all()
    return [
        OptInView(id=row.id, at=row.created_at, contact=row.key, by=row.by, because=row.because)
        for row in reversed(rows)
    ]
