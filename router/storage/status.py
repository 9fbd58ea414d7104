"""How things stand now, in numbers: quick, however much there ever was.

Everything here is counted along an index of what is not over; nothing reads a whole table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from router.domain.draft import DraftState
from router.domain.ticket import TicketState
from router.storage.events import DISCARDED, RETRIED
from router.storage.tables import draft, escalation, inbox_event, lane, node, outbox, ticket

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: A lane that could be claimed for longer than this is late: nobody works, or not fast enough.
LATE: Final = timedelta(seconds=10)
#: What `router status` counts of what is over.
DAY: Final = timedelta(hours=24)

#: Outbox items that ended well, or did not have to leave any more.
SETTLED: Final = ("done", "withdrawn")
_FAILED: Final = ("refused", "dead")
_KINDS: Final = ("in", "out", "job")

# As the indexes have them: SQLite takes a parameter, or "parked = 1", for something else.
_PARKED: Final = sa.text("lane.parked")
_UNSETTLED: Final = sa.text("outbox.state NOT IN ('done', 'withdrawn')")
_UNPARSED: Final = sa.text("inbox_event.type = 'unparsed'")


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
class Queue:
    """Everything that is to be worked: events on their way in, outbox items on their way out.

    :param waiting: not begun.
    :param active: under way.
    :param completed: events with an outcome, items that were done or withdrawn.
    :param failed: dead letters, and items refused or given up.
    :param late: lanes that could be worked for longer than ten seconds.
    :param parked: lanes that wait for a person's word.
    """

    waiting: int
    active: int
    completed: int
    failed: int
    late: int
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """What waits for people.

    :param dead: events that were given up, and not tried again.
    :param unparsed: requests that could not be read, and were neither tried again nor discarded.
    """

    drafts: int
    tickets: int
    escalations: int
    dead: int
    unparsed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCounts:
    """What one tenant has.

    :param queue: as in the numbers of the API, but ``completed`` counts the last 24 hours only.
    :param lanes: by kind: ``in``, ``out``, ``job``.
    :param outbox: items by state; of those that are over, the ones of the last 24 hours.
    :param dead: events that were given up, and not tried again.
    :param unparsed: requests that could not be read, and were neither tried again nor discarded.
    """

    tenant: str
    queue: Queue
    lanes: Mapping[str, LaneCounts]
    outbox: Mapping[str, int]
    dead: int
    unparsed: int
    drafts: int
    tickets: int
    escalations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A process that opened the database.

    :param host: where it runs.
    """

    id: int
    version: str
    started_at: datetime
    host: str = ""


def tenant_counts(connection: "Connection", tenant: str, now: datetime) -> TenantCounts:
    """Count what one tenant has."""
    kinds = lanes(connection, tenant, now)
    states = dict(unsettled(connection, tenant))
    over = _settled_since(connection, tenant, now - DAY)
    pending = unworked(connection, tenant)
    open_ = waiting_for_people(connection, tenant)
    return TenantCounts(
        tenant=tenant,
        queue=queue(
            pending=pending,
            ended=_ended_since(connection, tenant, now - DAY),
            dead=open_.dead,
            items={**states, **over},
            kinds=kinds,
        ),
        lanes=kinds,
        outbox={**states, **over},
        dead=open_.dead,
        unparsed=open_.unparsed,
        drafts=open_.drafts,
        tickets=open_.tickets,
        escalations=open_.escalations,
    )


def last_node(connection: "Connection") -> NodeView | None:
    """Give the process that opened the database last; ``None`` if none ever did."""
    row = connection.execute(sa.select(node).order_by(node.c.id.desc()).limit(1)).first()
    return None if row is None else _node(row)


def living_nodes(connection: "Connection") -> list[NodeView]:
    """Give the nodes of a PostgreSQL database that are heard of, by the server's clock."""
    rows = connection.execute(
        sa.select(node).where(node.c.expires_at > sa.func.clock_timestamp()).order_by(node.c.id)
    )
    return [_node(row) for row in rows]


def database_size(connection: "Connection") -> int:
    """Give the bytes that a PostgreSQL database takes on its server's disk."""
    size = sa.select(sa.func.pg_database_size(sa.func.current_database()))
    return int(connection.execute(size).scalar_one())


def _node(row: "sa.Row[Any]") -> NodeView:
    return NodeView(id=row.id, version=row.version, started_at=row.started_at, host=row.host)


def lanes(connection: "Connection", tenant: str | None, now: datetime) -> Mapping[str, LaneCounts]:
    """Count the lanes that have something to do, by kind: ``in``, ``out``, ``job``.

    :param tenant: whose; ``None`` sums over all.
    """
    free = sa.and_(
        lane.c.ready_at.is_not(None), lane.c.lease_owner.is_(None), sa.not_(lane.c.parked)
    )
    late = sa.and_(free, lane.c.ready_at < now - LATE)
    waiting = _by_kind(connection, tenant, free)
    working = _by_kind(connection, tenant, lane.c.lease_owner.is_not(None))
    overdue = _by_kind(connection, tenant, late)
    parked = _by_kind(connection, tenant, _PARKED)
    return {
        kind: LaneCounts(
            waiting=waiting[kind], working=working[kind], late=overdue[kind], parked=parked[kind]
        )
        for kind in _KINDS
    }


def unworked(connection: "Connection", tenant: str | None) -> int:
    """Count the events whose turn has not come."""
    heads = (
        sa.select(sa.func.count())
        .select_from(inbox_event)
        .join(lane, lane.c.key == inbox_event.c.lane)
        .where(
            lane.c.kind == "in",
            lane.c.ready_at.is_not(None),
            inbox_event.c.seq > lane.c.done_seq,
            inbox_event.c.outcome.is_(None),
            *_of(lane, tenant),
        )
    )
    free = sa.and_(lane.c.lease_owner.is_(None), sa.not_(lane.c.parked))
    found = [
        connection.execute(heads.where(condition)).scalar_one()
        for condition in (free, lane.c.lease_owner.is_not(None))
    ]
    return sum(found)


def unsettled(connection: "Connection", tenant: str | None) -> Mapping[str, int]:
    """Count outbox items by state, without those that ended well."""
    rows = connection.execute(
        sa.select(outbox.c.state, sa.func.count())
        .where(_UNSETTLED, *_of(outbox, tenant))
        .group_by(outbox.c.state)
        .order_by(outbox.c.state)
    )
    return {row[0]: row[1] for row in rows}


def waiting_for_people(connection: "Connection", tenant: str | None) -> Open:
    """Count what is open now, whenever it began."""
    tickets = ticket.c.state.in_([TicketState.NEW, TicketState.IN_PROGRESS])
    untried = sa.func.coalesce(inbox_event.c.outcome, "").not_in([RETRIED, DISCARDED])
    return Open(
        drafts=_count(connection, draft, tenant, draft.c.state == DraftState.PENDING),
        tickets=_count(connection, ticket, tenant, tickets),
        escalations=_count(connection, escalation, tenant, escalation.c.acknowledged_at.is_(None)),
        dead=_count(connection, inbox_event, tenant, inbox_event.c.dead_at.is_not(None)),
        unparsed=_count(connection, inbox_event, tenant, _UNPARSED, untried),
    )


def queue(
    *,
    pending: int,
    ended: int,
    dead: int,
    items: Mapping[str, int],
    kinds: Mapping[str, LaneCounts],
) -> Queue:
    """Sum up what was counted.

    :param pending: events whose turn has not come.
    :param ended: events with an outcome, dead letters left out.
    :param dead: dead letters.
    :param items: outbox items by state.
    :param kinds: what :func:`lanes` gives.
    """
    # A leased lane of events has exactly one under way; the rest of it waits.
    working = kinds["in"].working
    return Queue(
        waiting=max(pending - working, 0) + items.get("waiting", 0),
        active=min(pending, working) + items.get("started", 0),
        completed=ended + sum(items.get(state, 0) for state in SETTLED),
        failed=dead + sum(items.get(state, 0) for state in _FAILED),
        late=sum(counts.late for counts in kinds.values()),
        parked=sum(counts.parked for counts in kinds.values()),
    )


def _ended_since(connection: "Connection", tenant: str, since: datetime) -> int:
    return _count(
        connection,
        inbox_event,
        tenant,
        inbox_event.c.received_at >= since,
        inbox_event.c.outcome != "dead",
    )


def _settled_since(connection: "Connection", tenant: str, since: datetime) -> dict[str, int]:
    rows = connection.execute(
        sa.select(outbox.c.state, sa.func.count())
        .where(
            outbox.c.tenant == tenant,
            outbox.c.created_at >= since,
            outbox.c.state.in_(SETTLED),
        )
        .group_by(outbox.c.state)
    )
    return {row[0]: row[1] for row in rows}


def _by_kind(
    connection: "Connection", tenant: str | None, condition: sa.ColumnElement[bool] | sa.TextClause
) -> dict[str, int]:
    # Grouped here: asked to group, SQLite reads the whole table in the order of its key.
    sums = [
        sa.func.coalesce(sa.func.sum(sa.case((lane.c.kind == kind, 1), else_=0)), 0)
        for kind in _KINDS
    ]
    row = connection.execute(sa.select(*sums).where(condition, *_of(lane, tenant))).one()
    return dict(zip(_KINDS, map(int, row), strict=True))


def _of(table: sa.Table, tenant: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if tenant is None else [table.c.tenant == tenant]


def _count(
    connection: "Connection",
    table: sa.Table,
    tenant: str | None,
    *where: sa.ColumnElement[bool] | sa.TextClause,
) -> int:
    found: int = connection.execute(
        sa.select(sa.func.count()).select_from(table).where(*_of(table, tenant), *where)
    ).scalar_one()
    return found
