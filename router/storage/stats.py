"""What happened, in numbers: exact, because they are counted where they are kept.

Every function takes a :class:`Scope`. With ``since`` each reads what is younger, along an index.
Without it some read all that there ever was, so whoever serves them to many keeps the result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from router.storage import status
from router.storage.status import LaneCounts, Open, Queue
from router.storage.tables import (
    call,
    conversation,
    decision,
    inbox_event,
    message,
    outbox,
    usage,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Numbers by two words, such as type and outcome.
Table: TypeAlias = Mapping[str, Mapping[str, int]]


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
    where = scope.of(conversation, conversation.c.created_at)
    if scope.since is not None:
        # Nothing happened in one before it was opened, and this is what an index knows.
        where.append(conversation.c.last_activity_at >= scope.since)
    # Those that are not over are few, and have an index of their own; of the others only the
    # number counts.
    under_way = [*where, sa.text("conversation.status != 'closed'")]
    found = dict(_pairs(connection, conversation, under_way, conversation.c.status))
    total: int = connection.execute(
        sa.select(sa.func.count()).select_from(conversation).where(*where)
    ).scalar_one()
    return Conversations(
        total=total,
        active=found.get("active", 0),
        escalated=found.get("escalated", 0),
        closed=total - sum(found.values()),
    )


def messages(connection: "Connection", scope: Scope) -> Messages:
    """Count what was written, in both directions."""
    found = dict(
        _pairs(connection, message, scope.of(message, message.c.created_at), message.c.direction)
    )
    return Messages(inbound=found.get("in", 0), outbound=found.get("out", 0))


def calls(connection: "Connection", scope: Scope) -> Mapping[str, int]:
    """Count calls: ``done``, and ``failed`` for those that reached nobody."""
    found = dict(_pairs(connection, call, scope.of(call, call.c.began_at), call.c.status))
    return {"done": found.get("done", 0), "failed": found.get("failed", 0)}


def events(connection: "Connection", scope: Scope) -> Table:
    """Count events by type and outcome; ``pending`` are not worked yet."""
    outcome = sa.func.coalesce(inbox_event.c.outcome, "pending")
    where = scope.of(inbox_event, inbox_event.c.received_at)
    return _table(connection, inbox_event, where, inbox_event.c.type, outcome)


def decisions(connection: "Connection", scope: Scope) -> Mapping[str, int]:
    """Count decisions by outcome; ``since`` is about when their events came in.

    What only said that a real one is still to come (a model was asked, say) does not count: the
    event then has another outcome, or was settled by a later one.
    """
    real = [
        inbox_event.c.lane == decision.c.lane,
        inbox_event.c.seq == decision.c.seq,
        inbox_event.c.settled_seq.is_(None),
        inbox_event.c.outcome.in_([decision.c.outcome, "dead"]),
    ]
    where = [*scope.of(decision), *scope.of(inbox_event, inbox_event.c.received_at)]
    both = decision.join(inbox_event, sa.and_(*real))
    return dict(_pairs(connection, both, where, decision.c.outcome))


def outbox_items(connection: "Connection", scope: Scope) -> Table:
    """Count outbox items by kind and state."""
    where = scope.of(outbox, outbox.c.created_at)
    return _table(connection, outbox, where, outbox.c.kind, outbox.c.state)


def lanes(connection: "Connection", scope: Scope, now: datetime) -> Mapping[str, LaneCounts]:
    """Count the lanes that have something to do, by kind: ``in``, ``out``, ``job``."""
    return status.lanes(connection, scope.tenant, now)


def unsettled(connection: "Connection", scope: Scope) -> Mapping[str, int]:
    """Count outbox items by state, without those that ended well: quick, however many there are."""
    return status.unsettled(connection, scope.tenant)


def waiting_for_people(connection: "Connection", scope: Scope) -> Open:
    """Count what is open now, whenever it began."""
    return status.waiting_for_people(connection, scope.tenant)


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
    pending, dead = outcomes.pop("pending", 0), outcomes.pop("dead", 0)
    ended = sum(outcomes.values())
    return status.queue(
        pending=pending, ended=ended, dead=dead, items=_by_second(items), kinds=kinds
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
