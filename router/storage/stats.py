"""What happened, in numbers: exact, because they are counted where they are kept.

Every function takes a :class:`Scope`. Some read whole tables, so whoever serves them to many keeps
the result for some seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from router.domain.draft import DraftState
from router.domain.ticket import TicketState
from router.storage.events import RETRIED
from router.storage.status import LATE, LaneCounts
from router.storage.tables import (
    conversation,
    decision,
    draft,
    escalation,
    inbox_event,
    lane,
    message,
    outbox,
    ticket,
    usage,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Numbers by two words, such as type and outcome.
Table: TypeAlias = Mapping[str, Mapping[str, int]]

_SETTLED = ("done", "withdrawn")
_FAILED = ("refused", "dead")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is counted.

    :param tenant: whose; ``None`` sums over all.
    :param since: nothing older. What is said about the present (lanes, what is open) is not
        limited by it.
    """

    tenant: str | None = None
    since: datetime | None = None

    def of(self, table: sa.Table, moment: sa.ColumnElement[Any] | None = None) -> list[Any]:
        """Give the conditions on a table.

        :param moment: the column that ``since`` is about, if it is.
        """
        conditions: list[Any] = [] if self.tenant is None else [table.c.tenant == self.tenant]
        if moment is not None and self.since is not None:
            conditions.append(moment >= self.since)
        return conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """Threads, by where they stand."""

    total: int
    active: int
    escalated: int
    closed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Lines of conversations. ``out`` counts what was decided to leave, sent or not."""

    inbound: int
    outbound: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What AI backends consumed; ``calls`` are those that answered."""

    calls: int
    input_tokens: int
    output_tokens: int


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
    :param unparsed: requests that could not be read, and were not tried again.
    """

    drafts: int
    tickets: int
    escalations: int
    dead: int
    unparsed: int


def hold_still(connection: "Connection") -> None:
    """Let everything that this connection reads from now on be of one moment.

    To be called before anything is read on it.
    """
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql(
        # The driver begins a transaction for writes only.
        "BEGIN" if sqlite else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    )


def conversations(connection: "Connection", scope: Scope) -> Conversations:
    """Count threads; ``since`` is about when they were opened."""
    status = conversation.c.status
    found = dict(
        _pairs(connection, conversation, scope.of(conversation, conversation.c.created_at), status)
    )
    return Conversations(
        total=sum(found.values()),
        active=found.get("active", 0),
        escalated=found.get("escalated", 0),
        closed=found.get("closed", 0),
    )


def messages(connection: "Connection", scope: Scope) -> Messages:
    """Count what was written, in both directions."""
    found = dict(
        _pairs(connection, message, scope.of(message, message.c.created_at), message.c.direction)
    )
    return Messages(inbound=found.get("in", 0), outbound=found.get("out", 0))


def events(connection: "Connection", scope: Scope) -> Table:
    """Count events by type and outcome; ``pending`` are not worked yet."""
    outcome = sa.func.coalesce(inbox_event.c.outcome, "pending")
    where = scope.of(inbox_event, inbox_event.c.received_at)
    return _table(connection, inbox_event, where, inbox_event.c.type, outcome)


def decisions(connection: "Connection", scope: Scope) -> Mapping[str, int]:
    """Count decisions by outcome.

    What only said that a real one is still to come (a model was asked, say) does not count: the
    event then has another outcome, or was settled by a later one.
    """
    real = [
        inbox_event.c.lane == decision.c.lane,
        inbox_event.c.seq == decision.c.seq,
        inbox_event.c.settled_seq.is_(None),
        inbox_event.c.outcome.in_([decision.c.outcome, "dead"]),
    ]
    where = scope.of(decision, decision.c.created_at)
    both = decision.join(inbox_event, sa.and_(*real))
    return dict(_pairs(connection, both, where, decision.c.outcome))


def outbox_items(connection: "Connection", scope: Scope) -> Table:
    """Count outbox items by kind and state."""
    where = scope.of(outbox, outbox.c.created_at)
    return _table(connection, outbox, where, outbox.c.kind, outbox.c.state)


def unsettled(connection: "Connection", scope: Scope) -> Mapping[str, int]:
    """Count outbox items by state, without those that ended well: quick, however many there are."""
    where = [*scope.of(outbox), outbox.c.state.not_in(_SETTLED)]
    return dict(_pairs(connection, outbox, where, outbox.c.state))


def lanes(connection: "Connection", scope: Scope, now: datetime) -> Mapping[str, LaneCounts]:
    """Count the lanes that have something to do, by kind: ``in``, ``out``, ``job``."""
    free = sa.and_(
        lane.c.ready_at.is_not(None), lane.c.lease_owner.is_(None), sa.not_(lane.c.parked)
    )
    rows = connection.execute(
        sa.select(
            lane.c.kind,
            _sum(free),
            _sum(lane.c.lease_owner.is_not(None)),
            _sum(sa.and_(free, lane.c.ready_at < now - LATE)),
            _sum(lane.c.parked),
        )
        .where(*scope.of(lane))
        .group_by(lane.c.kind)
    )
    found = {
        kind: LaneCounts(waiting=waiting, working=working, late=late, parked=parked)
        for kind, waiting, working, late, parked in rows
    }
    return {kind: found.get(kind, LaneCounts()) for kind in ("in", "out", "job")}


def waiting_for_people(connection: "Connection", scope: Scope) -> Open:
    """Count what is open now, whenever it began."""
    unparsed = sa.and_(
        inbox_event.c.type == "unparsed",
        sa.func.coalesce(inbox_event.c.outcome, "") != RETRIED,
    )
    return Open(
        drafts=_count(connection, draft, scope, draft.c.state == DraftState.PENDING),
        tickets=_count(
            connection,
            ticket,
            scope,
            ticket.c.state.in_([TicketState.NEW, TicketState.IN_PROGRESS]),
        ),
        escalations=_count(connection, escalation, scope, escalation.c.acknowledged_at.is_(None)),
        dead=_count(connection, inbox_event, scope, inbox_event.c.dead_at.is_not(None)),
        unparsed=_count(connection, inbox_event, scope, unparsed),
    )


def usage_by_backend(connection: "Connection", scope: Scope) -> Mapping[str, Usage]:
    """Count what each AI backend consumed."""
    rows = connection.execute(
        sa.select(
            usage.c.instance,
            sa.func.count(),
            sa.func.sum(usage.c.input_tokens),
            sa.func.sum(usage.c.output_tokens),
        )
        .where(*scope.of(usage, usage.c.created_at))
        .group_by(usage.c.instance)
        .order_by(usage.c.instance)
    )
    return {
        instance: Usage(calls=calls, input_tokens=int(taken), output_tokens=int(given))
        for instance, calls, taken, given in rows
    }


def queue(worked: Table, items: Table, kinds: Mapping[str, LaneCounts]) -> Queue:
    """Sum up what :func:`events`, :func:`outbox_items` and :func:`lanes` counted."""
    outcomes = _by_second(worked)
    states = _by_second(items)
    # A leased lane of events has exactly one under way; the rest of it waits.
    pending, being_worked = outcomes.pop("pending", 0), kinds["in"].working
    dead = outcomes.pop("dead", 0)
    return Queue(
        waiting=max(pending - being_worked, 0) + states.get("waiting", 0),
        active=min(pending, being_worked) + states.get("started", 0),
        completed=sum(outcomes.values()) + sum(states.get(state, 0) for state in _SETTLED),
        failed=dead + sum(states.get(state, 0) for state in _FAILED),
        late=sum(counts.late for counts in kinds.values()),
        parked=sum(counts.parked for counts in kinds.values()),
    )


def _by_second(table: Table) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in table.values():
        for word, number in row.items():
            sums[word] = sums.get(word, 0) + number
    return sums


def _pairs(
    connection: "Connection",
    table: sa.FromClause,
    where: list[Any],
    column: sa.ColumnElement[Any],
) -> list[tuple[str, int]]:
    statement = (
        sa.select(column, sa.func.count())
        .select_from(table)
        .where(*where)
        .group_by(column)
        .order_by(column)
    )
    return [(word, number) for word, number in connection.execute(statement)]


def _table(
    connection: "Connection",
    table: sa.Table,
    where: list[Any],
    first: sa.ColumnElement[Any],
    second: sa.ColumnElement[Any],
) -> Table:
    # A subquery, because PostgreSQL takes a coalesce() that is repeated with its parameters for
    # another expression than the one that is grouped by.
    inner = sa.select(first.label("first"), second.label("second")).where(*where).subquery()
    statement = (
        sa.select(inner.c.first, inner.c.second, sa.func.count())
        .group_by(inner.c.first, inner.c.second)
        .order_by(inner.c.first, inner.c.second)
    )
    found: dict[str, dict[str, int]] = {}
    for one, other, number in connection.execute(statement):
        found.setdefault(one, {})[other] = number
    return found


def _sum(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _count(
    connection: "Connection", table: sa.Table, scope: Scope, condition: sa.ColumnElement[bool]
) -> int:
    found: int = connection.execute(
        sa.select(sa.func.count()).select_from(table).where(*scope.of(table), condition)
    ).scalar_one()
    return found
