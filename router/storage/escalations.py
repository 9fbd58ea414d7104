"""Calls for a person, as people look them up and acknowledge them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from router.errors import ActRefused, NotFound
from router.storage.keyset import behind, in_order
from router.storage.store import EventRef
from router.storage.tables import escalation


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationView:
    """A call for a person.

    :param to: the queue or the action that was told.
    :param event: the event that led to it.
    """

    id: str
    tenant: str
    to: str
    because: str
    conversation: str | None
    event: EventRef
    created_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None


def list_escalations(
    connection: sa.Connection,
    tenant: str,
    *,
    open_only: bool = True,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> list[EscalationView]:
    """Give the calls for a person, the newest first.

    :param open_only: only those that nobody has acknowledged.
    :param before: only those behind this place: ``created_at`` and ``id`` of another one.
    """
    statement = sa.select(escalation).where(escalation.c.tenant == tenant)
    if open_only:
        statement = statement.where(escalation.c.acknowledged_at.is_(None))
    order = ((escalation.c.created_at, True), (escalation.c.id, True))
    if before is not None:
        statement = statement.where(behind(order, before))
    statement = statement.order_by(*in_order(order)).limit(limit)
    return [_escalation(row) for row in connection.execute(statement)]


def show_escalation(connection: sa.Connection, tenant: str, id: str) -> EscalationView:
    """Give one call for a person.

    :raises NotFound: if the tenant has none of this id.
    """
    row = connection.execute(
        sa.select(escalation).where(escalation.c.id == id, escalation.c.tenant == tenant)
    ).first()
    if row is None:
        raise NotFound(f'there is no escalation "{id}"')
    return _escalation(row)


def acknowledge(
    connection: sa.Connection, tenant: str, id: str, *, by: str, now: datetime
) -> EscalationView:
    """Note that a person has heard the call.

    :raises NotFound: if the tenant has none of this id.
    :raises ActRefused: if somebody has acknowledged it already.
    """
    connection.execute(
        sa.select(escalation.c.id)
        .where(escalation.c.id == id, escalation.c.tenant == tenant)
        .with_for_update()
    )
    view = show_escalation(connection, tenant, id)
    if view.acknowledged_at is not None:
        raise ActRefused(f'escalation "{id}" is acknowledged already, by {view.acknowledged_by}')
    connection.execute(
        sa.update(escalation)
        .where(escalation.c.id == id, escalation.c.tenant == tenant)
        .values(acknowledged_at=now, acknowledged_by=by)
    )
    return show_escalation(connection, tenant, id)


def _escalation(row: sa.Row[Any]) -> EscalationView:
    return EscalationView(
        id=row.id,
        tenant=row.tenant,
        to=row.to,
        because=row.because,
        conversation=row.conversation,
        event=EventRef(row.event_lane, row.event_seq),
        created_at=row.created_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
    )
