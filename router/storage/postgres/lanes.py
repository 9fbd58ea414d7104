"""Lanes on PostgreSQL: numbers, leases and cursors. The statements say why they hold."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from router.storage.postgres.engine import Transaction
from router.storage.postgres.statements.lanes import (
    ADVANCE,
    CALL_NEXT,
    CLAIM,
    EXTEND_FOR_BOT,
    EXTEND_FOR_PERSON,
    FIRST_QUEUED,
    FORGET_LANES,
    IDLE,
    LEAVE_QUEUE,
    LOCK_LANES,
    NEXT_READY,
    POSTPONE,
    RELEASE,
    REST,
    SUSPECT,
)
from router.storage.store import IN

Key = TypeVar("Key")

#: Above every number of a lane.
_LAST = 2**63 - 1


class Standing(NamedTuple):
    """A lane that this transaction has locked."""

    done_seq: int
    last_seq: int
    lease_owner: int | None
    ready_at: datetime | None
    queue: str | None

    def held(self, lease: int, seq: int) -> bool:
        """Tell whether a lease still stands, and what it was taken for is still undone."""
        return self.lease_owner == lease and self.done_seq < seq


class Claimed(NamedTuple):
    """A lane that this node has just leased."""

    key: str
    done_seq: int
    attempts: int
    crashes: int


class Number(NamedTuple):
    """A number taken in a lane.

    :param handed: the lane was idle, and is now leased to this node.
    """

    seq: int
    handed: bool


class Rest(NamedTuple):
    """How a lane is given back with work left in it.

    :param seq: the number of what is to be tried again; nothing happens if it is done.
    :param ready_at: when it may be claimed again; ``None`` where it is parked.
    :param crashes: as many as when it was claimed.
    """

    kind: str
    key: str
    lease: int
    seq: int = _LAST
    ready_at: datetime | None = None
    attempts: int = 0
    error: str | None = None
    parked: bool = False
    crashes: int = 0


class Later(NamedTuple):
    """How a lane is given back that was not begun.

    :param seq: the number of what was not begun; nothing happens if it is done.
    :param queue: the bucket for whose token it waits, if others wait for it, too.
    :param place: where it stands among those: the earlier, the sooner it is called.
    """

    kind: str
    key: str
    lease: int
    seq: int
    ready_at: datetime
    queue: str | None = None
    place: datetime | None = None


def columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    """Give rows as the arrays that ``unnest`` reads."""
    found: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    return found or [[] for _ in range(width)]


def counted(keys: Iterable[Key]) -> tuple[dict[Key, int], list[int]]:
    """Count how often each key comes, and for each in turn how often it has come before."""
    many: dict[Key, int] = {}
    before = []
    for key in keys:
        number = many.get(key, 0)
        before.append(number)
        many[key] = number + 1
    return many, before


def lock(tx: Transaction, lanes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Standing]:
    """Lock lanes, in their order, and give how they stand."""
    rows = tx.rows(LOCK_LANES, *columns(sorted(set(lanes)), 2))
    return {(row[0], row[1]): Standing(*row[2:7]) for row in rows}


def extend(
    tx: Transaction,
    kind: str,
    lanes: Sequence[tuple[str, str]],
    *,
    me: int | None,
    now: datetime,
    person: bool = False,
) -> list[Number]:
    """Take a number in each of these lanes, which may be the same ones; in the order given.

    :param lanes: key and tenant.
    :param me: who leases what was idle; ``None`` leaves it to be claimed.
    """
    if not lanes:
        return []
    many, before = counted(lanes)
    statement = EXTEND_FOR_PERSON if person else EXTEND_FOR_BOT
    rows = [(kind, key, tenant, number) for (key, tenant), number in sorted(many.items())]
    taken = {}
    for key, last_seq, done_seq, owner in tx.rows(statement, *columns(rows, 4), now, me):
        taken[key] = (last_seq, done_seq, owner)
    numbers = []
    for lane, earlier in zip(lanes, before, strict=True):
        last_seq, done_seq, owner = taken[lane[0]]
        first = last_seq - many[lane] + 1
        seq = first + earlier
        # Leased and nothing before it undone: the lane was idle until this very statement.
        handed = me is not None and owner == me and seq == first == done_seq + 1
        numbers.append(Number(seq, handed))
    return numbers


def claim(tx: Transaction, kind: str, *, me: int, now: datetime, limit: int) -> list[Claimed]:
    """Lease lanes that are ready, oldest first."""
    rows = tx.rows(CLAIM, kind, now, limit, me)
    return [Claimed(*row[:4]) for row in sorted(rows, key=lambda row: row[4])]


def advance(tx: Transaction, cursors: Sequence[tuple[str, int, int]]) -> dict[str, bool]:
    """Move cursors; say of each lane whose lease is not lost whether more is waiting in it.

    :param cursors: key, number and lease, of lanes of events.
    """
    if not cursors:
        return {}
    rows = [(IN, *cursor) for cursor in sorted(cursors)]
    return dict(tx.rows(ADVANCE, *columns(rows, 4)))


def rest(tx: Transaction, lanes: Sequence[Rest]) -> None:
    """Give leases back with work left: to be claimed at a later moment, or parked."""
    if lanes:
        tx.rows(REST, *columns(lanes, 9))


def idle(tx: Transaction, kind: str, keys: Sequence[str], *, me: int) -> None:
    """Give leases back with nothing left to do."""
    if keys:
        tx.rows(IDLE, kind, list(keys), me)


def release(tx: Transaction, lanes: Sequence[tuple[str, str, int, int, int]]) -> None:
    """Give leases back untouched, unless what they were taken for is done.

    :param lanes: kind, key, lease, number, and as many crashes as when it was claimed.
    """
    if lanes:
        tx.rows(RELEASE, *columns(sorted(lanes), 5))


def postpone(tx: Transaction, lanes: Sequence[Later]) -> None:
    """Give leases back untouched, to be claimed again at a later moment."""
    if lanes:
        tx.rows(POSTPONE, *columns(lanes, 7))


def leave_queue(tx: Transaction, lanes: Sequence[tuple[str, str]]) -> None:
    """Let lanes wait for nobody's token any more.

    :param lanes: kind and key; this transaction has locked them.
    """
    if lanes:
        tx.rows(LEAVE_QUEUE, *columns(lanes, 2))


def first_queued(
    tx: Transaction, tenant: str, queue: str
) -> tuple[str, datetime, int | None] | None:
    """Give the first lane of a queue, when it is claimed again, and who leases it."""
    rows = tx.rows(FIRST_QUEUED, tenant, queue)
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


def call(tx: Transaction, key: str, ready_at: datetime) -> None:
    """Let a lane that waits be claimed earlier, unless somebody has it locked."""
    tx.rows(CALL_NEXT, key, ready_at)


def suspect(tx: Transaction, kind: str, key: str, lease: int, seq: int, crashes: int) -> None:
    """Note the crashes around the head of a lane, unless the lease is lost."""
    tx.rows(SUSPECT, kind, key, lease, seq, crashes)


def next_ready(tx: Transaction, kind: str) -> datetime | None:
    """Give the earliest moment at which a lane may be claimed."""
    found: datetime | None = tx.rows(NEXT_READY, kind)[0][0]
    return found


def forget(tx: Transaction, kind: str, keys: Sequence[str]) -> None:
    """Remove lanes that held one item each and never will hold another."""
    if keys:
        tx.rows(FORGET_LANES, kind, list(keys))
