"""Pollers: where each stands, who polls it now, and how it has been going.

A poll is I/O, so no transaction can be open around it. Whoever is about to poll takes the row: for
a while nobody else does, and its generation rises. What was found is kept only under the generation
that was taken, in the transaction that stores the events: the result of a node that was held up for
too long changes no row, and is dropped.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from router.domain.limits import CLOCKS_APART, LONGEST_RETRY
from router.errors import ActRefused, NotFound
from router.plugin.polling import LISTING
from router.storage.conflicts import insert_missing
from router.storage.tables import poller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from router.storage.store import Accepted, NewEvent, Tx


#: How often a poller that is held is looked at, at most.
HELD: Final = timedelta(seconds=5)


class PollerKey(NamedTuple):
    """Which poller."""

    tenant: str
    channel: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A poll that is to be made.

    :param generation: under which what it finds is kept.
    :param failures: how many polls have failed since the last good one.
    """

    cursor: str | None
    generation: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PollerView:
    """How a poller has been going.

    :param polled_at: when the last good poll ended.
    :param failures: how many have failed since then; ``failing_since`` and ``error`` say more.
    :param held: why there is no poll until a person says so.
    """

    tenant: str
    channel: str
    name: str
    due_at: datetime
    polled_at: datetime | None
    failures: int
    failing_since: datetime | None
    error: str | None
    held: str | None = None

    @property
    def id(self) -> str:
        """How people name it."""
        return f"{self.channel}/{self.name}"


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to poll now.

    :param until: when to ask again.
    :param held: why there is no poll until a person says so.
    """

    until: datetime
    held: str | None = None


def prepare(connection: "Connection", key: PollerKey, now: datetime, latest: datetime) -> None:
    """Make sure that a poller has its row, and is due by then unless it waits after a failure.

    No failure is waited for longer than a day: that is from before the clock was set back.

    :param latest: what it may have waited for was an interval that is no longer the configured one.
    """
    values = {**key._asdict(), "generation": 0, "due_at": now, "failures": 0}
    insert_missing(connection, poller, values, key=key._fields)
    for may_wait, by in ((poller.c.failures == 0, latest), (sa.true(), now + LONGEST_RETRY)):
        connection.execute(
            sa.update(poller).where(_is(key), poller.c.due_at > by, may_wait).values(due_at=by)
        )


def hasten(connection: "Connection", key: PollerKey, now: datetime) -> None:
    """Let a poller be due now, whatever it waits for."""
    connection.execute(sa.update(poller).where(_is(key), poller.c.due_at > now).values(due_at=now))


def take(
    connection: "Connection",
    key: PollerKey,
    *,
    holder: str,
    now: datetime,
    until: datetime,
    every: timedelta,
) -> Taken | Wait:
    """Take a poll that is due, for ``holder`` alone until then; else say when to ask again.

    On SQLite one process has the file, so whoever else took it is dead. Who took it for longer than
    anybody does took it before the clock was set back.

    :param every: the poller's interval: while another node polls, it is asked again after that.
    """
    free = sa.or_(
        poller.c.leased_until.is_(None),
        poller.c.leased_until <= now,
        poller.c.leased_until > until + CLOCKS_APART,
    )
    if connection.dialect.name == "sqlite":
        free = sa.or_(free, poller.c.holder != holder)
    row = connection.execute(
        sa.update(poller)
        .where(_is(key), poller.c.due_at <= now, poller.c.held.is_(None), free)
        .values(holder=holder, leased_until=until, generation=poller.c.generation + 1)
        .returning(poller.c.cursor, poller.c.generation, poller.c.failures)
    ).first()
    if row is not None:
        return Taken(cursor=row.cursor, generation=row.generation, failures=row.failures)
    wait = connection.execute(
        sa.select(poller.c.due_at, poller.c.leased_until, poller.c.held).where(_is(key))
    ).first()
    if wait is None:  # removed by hand
        prepare(connection, key, now, now)
        return Wait(now)
    if wait.held is not None:
        return Wait(now + max(every, HELD), wait.held)
    if wait.leased_until is None:
        return Wait(wait.due_at)
    return Wait(max(wait.due_at, min(wait.leased_until, now + every)))


def keep(
    tx: "Tx",
    key: PollerKey,
    taken: Taken,
    *,
    cursor: str | None,
    events: "Sequence[NewEvent]",
    due_at: datetime,
    also: "Callable[[Tx], None] | None" = None,
) -> "list[Accepted] | None":
    """Store what a good poll found, and where the next one goes on; ``None``: it is dropped.

    :param also: stores what is no event, unless it is dropped.
    """
    kept = _end(
        tx.connection,
        key,
        taken,
        cursor=cursor,
        due_at=due_at,
        polled_at=tx.now,
        failures=0,
        failing_since=None,
        error=None,
    )
    if not kept:
        return None
    if also is not None:
        also(tx)
    return tx.enqueue(events)


def keep_failure(tx: "Tx", key: PollerKey, taken: Taken, *, error: str, due_at: datetime) -> bool:
    """Note that a poll failed; its cursor stays. ``False``: somebody else polls by now."""
    return _end(
        tx.connection,
        key,
        taken,
        due_at=due_at,
        failures=poller.c.failures + 1,
        failing_since=sa.func.coalesce(poller.c.failing_since, sa.literal(tx.now, _MOMENT)),
        error=error,
    )


def give_back(connection: "Connection", key: PollerKey, taken: Taken) -> None:
    """Let another node poll at once: this one stops before it is done."""
    _end(connection, key, taken)


def pollers(connection: "Connection", tenant: str) -> list[PollerView]:
    """Give a tenant's pollers, those of channels that are no more among them."""
    rows = connection.execute(
        sa.select(*_COLUMNS)
        .where(poller.c.tenant == tenant)
        .order_by(poller.c.channel, poller.c.name)
    )
    return [PollerView(**row) for row in rows.mappings()]


def hold_all(connection: "Connection", because: str) -> None:
    """Let nothing be polled until a person says so, for each poller by itself.

    But templates are: listing them again repeats nothing.
    """
    connection.execute(
        sa.update(poller)
        .where(poller.c.name != LISTING)
        .values(held=because, holder=None, leased_until=None)
    )


def show_poller(connection: "Connection", tenant: str, name: str) -> PollerView:
    """Give one poller.

    :param name: ``CHANNEL/NAME``.
    :raises NotFound: if the tenant has none of that name.
    """
    channel, _, poll = name.rpartition("/")
    row = connection.execute(
        sa.select(*_COLUMNS).where(_is(PollerKey(tenant, channel, poll)))
    ).first()
    if row is None:
        raise NotFound(f'there is no poller "{name}". `router pollers list` names them')
    return PollerView(**row._mapping)  # noqa: SLF001 - its public name


def resume(connection: "Connection", tenant: str, name: str, now: datetime) -> PollerView:
    """Let a poller go on that is held; it goes on where it was.

    :param name: ``CHANNEL/NAME``.
    :raises NotFound: if the tenant has none of that name.
    :raises ActRefused: if it is not held.
    """
    view = show_poller(connection, tenant, name)
    if view.held is None:
        raise ActRefused(f'the poller "{name}" is not held')
    connection.execute(
        sa.update(poller)
        .where(_is(PollerKey(tenant, view.channel, view.name)))
        .values(held=None, due_at=now)
    )
    return show_poller(connection, tenant, name)


_COLUMNS = [poller.c[name] for name in PollerView.__slots__]
_MOMENT = poller.c.failing_since.type


def _end(connection: "Connection", key: PollerKey, taken: Taken, **values: object) -> bool:
    done = connection.execute(
        sa.update(poller)
        .where(_is(key), poller.c.generation == taken.generation)
        .values(holder=None, leased_until=None, **values)
    )
    return bool(done.rowcount)


def _is(key: PollerKey) -> sa.ColumnElement[bool]:
    return sa.and_(*(poller.c[column] == value for column, value in key._asdict().items()))
