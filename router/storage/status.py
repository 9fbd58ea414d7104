"""How things stand, in numbers, for one look at the whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from router.domain.draft import DraftState
from router.domain.ticket import TicketState
from router.storage.tables import draft, escalation, inbox_event, lane, node, outbox, ticket

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: A lane that could be claimed for longer than this is late: nobody works, or not fast enough.
LATE: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneCounts:
    """Lanes of one kind that have something to do.

    :param waiting: may be claimed, now or at a later moment.
    :param working: leased.
    :param late: may be claimed, and have been for more than :data:`LATE`.
    :param parked: wait for a person's word.
    """

    waiting: int = 0
    working: int = 0
    late: int = 0
    parked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCounts:
    """What one tenant has.

    :param lanes: by kind: ``in``, ``out``, ``job``.
    :param outbox: items by state.
    :param dead: events that were given up, and not tried again.
    :param unparsed: requests that could not be read, and were not tried again.
    """

    tenant: str
    lanes: Mapping[str, LaneCounts]
    outbox: Mapping[str, int]
    dead: int
    unparsed: int
    drafts: int
    tickets: int
    escalations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """The process that opened the database last."""

    id: int
    version: str
    started_at: datetime


def tenant_counts(connection: "Connection", tenant: str, now: datetime) -> TenantCounts:
    """Count what one tenant has. Reads the tenant's whole outbox: for a look, not for a page."""
    states = connection.execute(
        sa.select(outbox.c.state, sa.func.count())
        .where(outbox.c.tenant == tenant)
        .group_by(outbox.c.state)
    )
    return TenantCounts(
        tenant=tenant,
        lanes=_lanes(connection, tenant, now),
        outbox={row.state: row[1] for row in states},
        dead=_count(
            connection,
            inbox_event,
            inbox_event.c.tenant == tenant,
            inbox_event.c.dead_at.is_not(None),
        ),
        unparsed=_count(
            connection,
            inbox_event,
            inbox_event.c.tenant == tenant,
            inbox_event.c.lane.startswith(f"{tenant}/raw:", autoescape=True),
            inbox_event.c.type == "unparsed",
            sa.func.coalesce(inbox_event.c.outcome, "") != "retried",
        ),
        drafts=_count(
            connection, draft, draft.c.tenant == tenant, draft.c.state == DraftState.PENDING
        ),
        tickets=_count(
            connection,
            ticket,
            ticket.c.tenant == tenant,
            ticket.c.state.in_([TicketState.NEW, TicketState.IN_PROGRESS]),
        ),
        escalations=_count(
            connection,
            escalation,
            escalation.c.tenant == tenant,
            escalation.c.acknowledged_at.is_(None),
        ),
    )


def last_node(connection: "Connection") -> NodeView | None:
    """Give the process that opened the database last; ``None`` if none ever did."""
    row = connection.execute(sa.select(node).order_by(node.c.id.desc()).limit(1)).first()
    if row is None:
        return None
    return NodeView(id=row.id, version=row.version, started_at=row.started_at)


def _lanes(connection: "Connection", tenant: str, now: datetime) -> dict[str, LaneCounts]:
    free = sa.and_(
        lane.c.ready_at.is_not(None), lane.c.lease_owner.is_(None), sa.not_(lane.c.parked)
    )

    def number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    rows = connection.execute(
        sa.select(
            lane.c.kind,
            number(free),
            number(lane.c.lease_owner.is_not(None)),
            number(sa.and_(free, lane.c.ready_at < now - LATE)),
            number(lane.c.parked),
        )
        .where(lane.c.tenant == tenant)
        .group_by(lane.c.kind)
    )
    found = {
        kind: LaneCounts(waiting=waiting, working=working, late=late, parked=parked)
        for kind, waiting, working, late, parked in rows
    }
    return {kind: found.get(kind, LaneCounts()) for kind in ("in", "out", "job")}


def _count(connection: "Connection", table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    found: int = connection.execute(
        sa.select(sa.func.count()).select_from(table).where(*where)
    ).scalar_one()
    return found
