"""Links that let whoever was told of a conversation read it, for a while."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from router.domain.ticket import TicketState
from router.storage.tables import escalation, link, ticket

#: How long a link opens: over a weekend, and no longer than an answer can be of use.
LIFE: Final = timedelta(hours=72)

#: How long it still opens once the call was acknowledged or the ticket closed; never past LIFE.
GRACE: Final = timedelta(hours=24)

#: How the address of the page ends that a link opens.
_OPENS: Final = re.compile(r"/c/[0-9a-z]{32}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link opens: one conversation of one tenant.

    :param escalation: the call for a person that the notice was about.
    :param ticket: the ticket that it was about.
    """

    tenant: str
    conversation: str
    escalation: str | None
    ticket: str | None
    expires_at: datetime


def open_link(
    connection: sa.Connection,
    *,
    secret: str,
    tenant: str,
    conversation: str,
    now: datetime,
    escalation: str | None = None,
    ticket_number: int | None = None,
) -> None:
    """Keep a link that goes out with a notice.

    :param secret: who has it may read the conversation.
    """
    opened = sa.select(ticket.c.id).where(
        ticket.c.tenant == tenant, ticket.c.number == ticket_number
    )
    connection.execute(
        sa.insert(link).values(
            secret=secret,
            tenant=tenant,
            conversation=conversation,
            escalation=escalation,
            ticket=None if ticket_number is None else opened.scalar_subquery(),
            created_at=now,
        )
    )


def find_link(connection: sa.Connection, secret: str, now: datetime) -> Link | None:
    """Give what a link opens; ``None`` if there is none, or if its time is over.

    The one query that does not begin with a tenant: the secret is what says whose it is. Every
    later one states the tenant found here.
    """
    row = connection.execute(
        sa.select(
            link,
            escalation.c.acknowledged_at,
            ticket.c.state,
            ticket.c.updated_at,
        )
        .outerjoin(
            escalation,
            sa.and_(escalation.c.id == link.c.escalation, escalation.c.tenant == link.c.tenant),
        )
        .outerjoin(ticket, sa.and_(ticket.c.id == link.c.ticket, ticket.c.tenant == link.c.tenant))
        .where(link.c.secret == secret)
    ).first()
    if row is None:
        return None
    ends = [row.created_at + LIFE]
    if row.acknowledged_at is not None:
        ends.append(row.acknowledged_at + GRACE)
    if row.state == TicketState.CLOSED:
        ends.append(row.updated_at + GRACE)
    expires_at = min(ends)
    if now >= expires_at:
        return None
    return Link(
        tenant=row.tenant,
        conversation=row.conversation,
        escalation=row.escalation,
        ticket=row.ticket,
        expires_at=expires_at,
    )


def without_links(body: Any) -> Any:
    """Give what an item holds without the link of a notice, which is for the business alone."""
    params = body.get("params") if isinstance(body, dict) else None
    if not isinstance(params, dict) or not _OPENS.search(str(params.get("url"))):
        return body
    return {**body, "params": {key: it for key, it in params.items() if key != "url"}}
