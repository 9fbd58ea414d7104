"""Beginning attempts on PostgreSQL: the lease, the fence, the window, the buckets, in this order.

What an item may not do is written in the same transaction that would have marked it as started.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from router.clock import EPOCH
from router.domain.limits import Bucket, has_waited, queue_of, take
from router.domain.message import Author
from router.domain.outbox import ItemKind, ItemState
from router.storage.postgres import lanes, outbox
from router.storage.postgres.engine import Transaction
from router.storage.postgres.lanes import Later, Standing, columns
from router.storage.postgres.outbox import End, Shown
from router.storage.postgres.statements.buckets import (
    FORGET_BUCKETS,
    KEEP_BUCKETS,
    LOCK_BUCKETS,
    MISSING_BUCKETS,
)
from router.storage.postgres.statements.commits import LOCK_CONVERSATIONS
from router.storage.postgres.statements.outbox import BEGIN, LOCK_ITEMS, UNASK
from router.storage.store import Item, Start, Terms

_Name = tuple[str, str]


def start(
    tx: Transaction, parts: Sequence[tuple[Item, Terms | None]], now: datetime
) -> tuple[list[Start], list[Item], bool]:
    """Mark items as started, or withdraw them; give the next items of lanes that go on.

    :param parts: of different lanes.
    :return: besides, whether others may look earlier now.
    """
    locked = lanes.lock(tx, [(item.lane_kind, item.lane) for item, _ in parts])
    threads = _lock_threads(tx, [item for item, _ in parts])
    names = sorted(item.id for item, _ in parts)
    rows = {row[0]: row for row in tx.rows(LOCK_ITEMS, names)}
    buckets = _Buckets(tx, parts, now)
    starts = []
    round_ = _Round(now)
    for item, terms in parts:
        stands = locked.get((item.lane_kind, item.lane))
        row = rows.get(item.id)
        if stands is None or row is None or not stands.held(item.lease, item.seq):
            starts.append(Start.NOT)
            continue
        thread = None if item.conversation is None else threads.get(item.conversation)
        starts.append(round_.judge(item, terms, row, thread, stands, buckets))
    following = round_.write(tx)
    called = buckets.call_next(tx, now)
    buckets.keep(tx, now)
    return starts, following, called


def _lock_threads(tx: Transaction, items: Sequence[Item]) -> dict[str, Any]:
    names = sorted({item.conversation for item in items if item.conversation is not None})
    if not names:
        return {}
    return {row[0]: row for row in tx.rows(LOCK_CONVERSATIONS, names)}


class _Round:
    """What a group of attempts comes to."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._begun: list[tuple[str, str | None]] = []
        self._ends: list[End] = []
        self._shown: list[Shown] = []
        self._unasked: list[tuple[str, int]] = []
        self._moved: list[Item] = []
        self._postponed: list[Later] = []
        self._called: list[tuple[str, str]] = []

    def judge(
        self,
        item: Item,
        terms: Terms | None,
        row: Sequence[Any],
        thread: Sequence[Any] | None,
        stands: Standing,
        buckets: "_Buckets",
    ) -> Start:
        """Say whether an item may leave.

        :param row: the item as it is now: id, state, attempt, epoch.
        :param thread: its conversation: id, epoch, owner, pending ask, last message in, window.
        """
        if stands.queue is not None:
            self._called.append((item.lane_kind, item.lane))
            buckets.leaves(item.tenant, stands.queue)
        _, state, attempt, under = row
        _, epoch, owner, pending, last_in_at, shut_at, _, _ = thread or (None,) * 8
        if attempt != item.attempt:
            # Somebody has begun it since it was claimed, and will say how that ended.
            return Start.NOT
        if state not in ("waiting", "started"):
            self._moved.append(item)
            return Start.NOT
        fenced = item.author is not Author.PERSON and item.kind is ItemKind.MESSAGE
        # As the row has it now: handing a conversation back takes what waits along.
        if fenced and epoch is not None and epoch > under:
            if item.may_have_left:
                return Start.OVERTAKEN
            self._withdraw(item, f"{owner} took the conversation over before it was sent")
            self._shown.append(Shown(item.id, "withdrawn", self._ends[-1].error, None))
            return Start.NOT
        if item.kind in (ItemKind.ASK, ItemKind.CLASSIFY) and pending != item.id:
            # Nobody waits for the answer: the conversation has moved on.
            self._withdraw(item, "the conversation has moved on before it was asked")
            if item.decided is not None:
                self._unasked.append(item.decided)
            return Start.NOT
        if item.not_before is not None and self._now < item.not_before:
            lane = (item.lane_kind, item.lane, item.lease, item.seq)
            self._postponed.append(Later(*lane, item.not_before))
            return Start.NOT
        if terms is not None:
            if terms.barred:
                return Start.BARRED
            if terms.window is not None and _closed(terms.window, last_in_at, shut_at, self._now):
                return Start.CLOSED
            later = buckets.take(item, terms, stands, self._now)
            if later is not None:
                self._postponed.append(later)
                return Start.NOT
        self._begun.append((item.id, None if terms is None else terms.account))
        return Start.BEGUN

    def _withdraw(self, item: Item, why: str) -> None:
        self._ends.append(End(item.id, ItemState.WITHDRAWN, self._now, error=why))
        self._moved.append(item)

    def write(self, tx: Transaction) -> list[Item]:
        """Write it; give the next items of lanes that go on."""
        if self._begun:
            tx.rows(BEGIN, *columns(self._begun, 2), self._now)
        outbox.end(tx, self._ends)
        outbox.show(tx, self._shown)
        if self._unasked:
            tx.rows(UNASK, *columns(self._unasked, 2))
        lanes.leave_queue(tx, self._called)
        lanes.postpone(tx, self._postponed)
        return outbox.move(tx, self._moved, self._now)


def _closed(
    window: timedelta, last_in_at: datetime | None, shut_at: datetime | None, now: datetime
) -> bool:
    """Tell whether a channel takes no free text for a customer, as far as is known."""
    if last_in_at is None:
        return shut_at is not None
    return now >= last_in_at + window or (shut_at is not None and shut_at >= last_in_at)


class _Buckets:
    """The buckets of a group, locked: another node takes its tokens before, or after."""

    def __init__(
        self, tx: Transaction, parts: Sequence[tuple[Item, Terms | None]], now: datetime
    ) -> None:
        self._stand: dict[_Name, Bucket] = {}
        self._changed: set[_Name] = set()
        self._taken = 0
        #: In whose queues something has moved.
        self._queues: set[_Name] = set()
        for item, terms in parts:
            for bucket in () if terms is None else terms.buckets:
                self._stand[item.tenant, bucket.key] = bucket
        if self._stand:
            names = columns(sorted(self._stand), 2)
            tx.rows(MISSING_BUCKETS, *names, now)
            for tenant, key, full_at, queued_to in tx.rows(LOCK_BUCKETS, *names):
                bucket = self._stand[tenant, key]
                self._stand[tenant, key] = replace(bucket, full_at=full_at, queued_to=queued_to)

    def leaves(self, tenant: str, queue: str) -> None:
        """Note that a lane that waited in a queue has been called."""
        self._queues.add((tenant, queue))

    def call_next(self, tx: Transaction, now: datetime) -> bool:
        """Call the first lane of each queue for when there is a token.

        To be done when everything else of the group is written.

        :return: whether any was to come later.
        """
        called = False
        for tenant, queue in sorted(self._queues):
            bucket = self._stand.get((tenant, queue))
            first = lanes.first_queued(tx, tenant, queue)
            if first is None:
                if bucket is not None and bucket.queued_to is not None:
                    self._stand[tenant, queue] = replace(bucket, queued_to=None)
                    self._changed.add((tenant, queue))
                continue
            lane, ready_at, owner = first
            # Without a bucket there is no such limit any more.
            next_at = now if bucket is None else bucket.next_at(now)
            # Who is leased is about to look, and calls the next.
            if owner is None and ready_at > next_at:
                lanes.call(tx, lane, next_at)
                called = True
        return called

    def take(self, item: Item, terms: Terms, lane: Standing, now: datetime) -> Later | None:
        """Take a token from each bucket, or say when to look again."""
        if not terms.buckets:
            return None
        stands = [
            replace(it, limit=wanted.limit, shared=wanted.shared)
            for wanted in terms.buckets
            for it in (self._stand[item.tenant, wanted.key],)
        ]
        since = lane.ready_at or EPOCH
        waited = lane.queue is not None or has_waited(since, item.ready_since, now)
        again, kept = take(stands, now, waited=waited, ahead=item.author is Author.PERSON)
        for bucket in kept:
            self._stand[item.tenant, bucket.key] = bucket
            self._changed.add((item.tenant, bucket.key))
        if again is None:
            self._taken += 1
            return None
        queue = queue_of(stands, kept)
        if queue is None:
            return Later(item.lane_kind, item.lane, item.lease, item.seq, again)
        self._queues.add((item.tenant, queue))
        # Who comes back in vain is still before all that were to come later.
        place = since if waited else again
        return Later(item.lane_kind, item.lane, item.lease, item.seq, again, queue, place)

    def keep(self, tx: Transaction, now: datetime) -> None:
        """Write what has changed, and forget some that are full again."""
        if self._changed:
            rows = [
                (*name, self._stand[name].full_at, self._stand[name].queued_to)
                for name in sorted(self._changed)
            ]
            tx.rows(KEEP_BUCKETS, *columns(rows, 4))
        if self._taken:
            tx.rows(FORGET_BUCKETS, now, 2 * self._taken)
