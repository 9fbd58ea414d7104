"""Doing outbox items on SQLite: what is claimed, begun, put off and ended."""

from datetime import datetime

from router.clock import to_micros
from router.domain.outbox import ItemState
from router.storage.sqlite import attempts, lanes, outbox
from router.storage.sqlite.attempts import Attempt, End
from router.storage.sqlite.tx import Writing
from router.storage.sqlite.work import outlook
from router.storage.sqlite.writer import Transaction
from router.storage.store import IN, OUT, Change, Item, Start, Work


class OutboxWork:
    """The operations on lanes of items, each a part of a group of the writer."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._clock = writing.clock
        self._dispatch = writing.dispatch

    def claim(self, tx: Transaction, kind: str, limit: int) -> None:
        """Lease lanes that are ready."""
        now, me = to_micros(self._clock.now()), self._writing.me
        claimed = lanes.claim(tx.raw, kind, me=me, now=now, limit=limit)
        for lane in claimed:
            item = outbox.next_item(tx.raw, kind, lane.key, lane.done_seq, me=me)
            if item is not None:
                tx.published.append(item)
        ready = self._dispatch.items[kind]
        tx.published.append(outlook(tx, kind, ready, full=len(claimed) == limit))

    def start(self, tx: Transaction, parts: list[Attempt]) -> list[Start]:
        """Note that items are about to leave, unless they must not."""
        now = to_micros(self._clock.now())
        answers, called = attempts.start(tx.raw, parts, now, me=self._writing.me)
        if called:
            tx.published.append(self._dispatch.items[OUT])
        for (item, _), (start, following) in zip(parts, answers, strict=True):
            _follow(tx, item, following)
            if start is Start.NOT:
                tx.published.append(self._dispatch.items[item.lane_kind])
        return [start for start, _ in answers]

    def postpone(self, tx: Transaction, item: Item | Work, until: datetime) -> None:
        """Give a lane back whose head was not begun, to be claimed again at a later moment."""
        at, me = to_micros(until), self._writing.me
        kind, key, seq = (
            (IN, item.ref.lane, item.ref.seq)
            if isinstance(item, Work)
            else (item.lane_kind, item.lane, item.seq)
        )
        lanes.postpone(tx.raw, kind, key, seq, me=me, ready_at=at)
        tx.published.append(self._dispatch.of(kind))

    def finish(self, tx: Transaction, ends: list[End]) -> list[None]:
        """Note how attempts ended, and store what they brought back."""
        now = to_micros(self._clock.now())
        answers = attempts.finish(tx.raw, ends, now, me=self._writing.me)
        for (item, result), (counted, following) in zip(ends, answers, strict=True):
            if counted:
                if result.events:
                    self._writing.put_events(tx, result.events)
                self._writing.take_effect(tx, result.effects)
            _follow(tx, item, following)
            if result.state is not ItemState.DONE:
                tx.published.append(self._dispatch.items[item.lane_kind])
            if result.effects:
                # They may have woken lanes of any kind.
                tx.published.extend(self._dispatch.items.values())
        return [None] * len(ends)


def _follow(tx: Transaction, item: Item, following: Item | None) -> None:
    if following is not None:
        tx.published.append(following)
    if item.conversation is not None:
        tx.published.append(Change(item.tenant, item.conversation))
