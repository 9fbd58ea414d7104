"""Doing outbox items on PostgreSQL: what is claimed, begun, put off and ended."""

from router.domain.outbox import ItemState
from router.storage.postgres import attempts, lanes, outbox
from router.storage.postgres.engine import Transaction
from router.storage.postgres.queue import THREAD, Lock
from router.storage.postgres.tx import Writing
from router.storage.postgres.work import InboxWork
from router.storage.store import IN, OUT, AttemptResult, Change, Item, Start, Terms


class OutboxWork:
    """The operations on lanes of items, each a part of a group of the flusher."""

    def __init__(self, writing: Writing, inbox: InboxWork) -> None:
        self._writing = writing
        self._clock = writing.clock
        self._dispatch = writing.dispatch
        self._inbox = inbox

    def claim(self, tx: Transaction, kind: str, limit: int) -> None:
        """Lease lanes that are ready."""

        def claiming(tx: Transaction, me: int) -> int:
            now = self._clock.now()
            claimed = lanes.claim(tx, kind, me=me, now=now, limit=limit)
            items = outbox.claimed_items(tx, kind, claimed, me=me, now=now)
            tx.published.extend(items)
            return len(claimed)

        self._dispatch.claim(tx, kind, limit, claiming)

    def start(self, tx: Transaction, parts: list[tuple[Item, Terms | None]]) -> list[Start]:
        """Note that items are about to leave, unless they must not."""
        if len({(item.lane_kind, item.lane) for item, _ in parts}) < len(parts):
            return [self.start(tx, [part])[0] for part in parts]
        starts, following, called = attempts.start(tx, parts, self._clock.now())
        tx.published.extend(following)
        if called:
            tx.published.append(self._dispatch.items[OUT])
        for (item, _), start in zip(parts, starts, strict=True):
            _tell(tx, item)
            if start is Start.NOT:
                tx.published.append(self._dispatch.items[item.lane_kind])
        return starts

    def postpone(self, tx: Transaction, lane: lanes.Later) -> None:
        """Give a lane back whose head was not begun, to be claimed again at a later moment."""
        lanes.postpone(tx, [lane])
        tx.published.append(self._dispatch.of(lane.kind))

    def finish(self, tx: Transaction, parts: list[tuple[Item, AttemptResult]]) -> list[None]:
        """Note how attempts ended, and store what they brought back."""
        if len({(item.lane_kind, item.lane) for item, _ in parts}) < len(parts):
            return [self.finish(tx, [part])[0] for part in parts]
        brought = [(IN, event.lane) for _, result in parts for event in result.events]
        if brought:
            # All lanes in one order, before anything else.
            lanes.lock(tx, [*brought, *((it.lane_kind, it.lane) for it, _ in parts)])
        counted, following = outbox.finish(tx, parts, self._clock.now())
        results = [result for (_, result), it in zip(parts, counted, strict=True) if it]
        self._inbox.put(tx, [event for result in results for event in result.events])
        effects = [effect for result in results for effect in result.effects]
        tx.published.extend(following)
        # What comes under a lost lease may have woken its lane.
        kinds = {
            item.lane_kind
            for item, result in parts
            if result.state is not ItemState.DONE or item.lease != tx.me
        }
        if self._writing.take_effect(tx, effects):
            # Effects may have woken lanes of any kind.
            kinds.update(self._dispatch.items)
        for item, _ in parts:
            _tell(tx, item)
        tx.published.extend(self._dispatch.items[kind] for kind in sorted(kinds))
        return [None] * len(parts)


def locks_of_item(item: Item) -> list[Lock]:
    """Give what doing an item locks: its lane, and its conversation."""
    lane = (item.lane_kind, item.lane)
    return [lane] if item.conversation is None else [lane, (THREAD, item.conversation)]


def _tell(tx: Transaction, item: Item) -> None:
    if item.conversation is not None:
        tx.published.append(Change(item.tenant, item.conversation))
