"""What this node holds leased on PostgreSQL: handed out after each commit, and told to others."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from router.storage import postgres_lanes
from router.storage.changes import Changes
from router.storage.postgres_engine import Transaction
from router.storage.postgres_node import Node
from router.storage.ready import Alarm, Ready
from router.storage.store import IN, JOB, OUT, Change, Item, Work

#: A group of statements that claims lanes, given the node's number.
Claiming = Callable[[Transaction, int], int]


class Dispatch:
    """Leased work on its way to this node's workers.

    :ivar inbox: events to work.
    :ivar items: outbox items to do, by the kind of their lane.
    :ivar node: this node; set before anything is published.
    """

    node: Node

    def __init__(self) -> None:
        self.changes: Final = Changes()
        self.alarm: Final = Alarm()
        self.inbox: Final[Ready[Work]] = Ready()
        self.items: Final[dict[str, Ready[Item]]] = {OUT: Ready(), JOB: Ready()}
        self._all: Final[dict[str, Ready[Any]]] = {IN: self.inbox, **self.items}

    @staticmethod
    def taker(tx: Transaction, ready: Ready[Any]) -> int | None:
        """Give who leases what is idle: this node, while it has room and is to go on."""
        return tx.me if ready.room and not ready.paused else None

    def claim(self, tx: Transaction, kind: str, limit: int, claiming: Claiming) -> None:
        """Claim lanes of a kind, and say after the commit whether the database holds more.

        :param claiming: claims, publishes what it claimed, and gives how many lanes that were.
        """
        ready = self._all[kind]
        if tx.me is None:
            # Until there is a number again; a heartbeat sees to that.
            tx.published.append(partial(self._wait_for_number, ready))
            return
        full = claiming(tx, tx.me) == limit
        at = postgres_lanes.next_ready(tx, kind)
        tx.published.append(partial(ready.looked, more=full, next_at=at))

    def _wait_for_number(self, ready: Ready[Any]) -> None:
        ready.looked(more=self.node.me is not None, next_at=None)

    def everything(self) -> list[Ready[Any]]:
        """Give what may have to be looked at once a function of any kind has written."""
        return list(self._all.values())

    def publish(self, published: list[Any]) -> None:
        """Hand out, in the event loop, what a commit has put on disk."""
        changes = []
        looked: dict[int, Ready[Any]] = {}
        for thing in published:
            if isinstance(thing, Work):
                if thing.lease == self.node.me:
                    self.inbox.offer(thing)
            elif isinstance(thing, Item):
                if thing.lease == self.node.me:
                    self.items[thing.lane_kind].offer(thing)
            elif isinstance(thing, Change):
                changes.append(thing)
            elif isinstance(thing, Ready):
                looked[id(thing)] = thing
            elif callable(thing):
                thing()
        for ready in looked.values():
            ready.look()
            if ready.paused or not ready.room:
                # Work is left that this node does not take.
                self.node.notify(next(kind for kind, it in self._all.items() if it is ready))
        self.changes.publish(changes)

    def hear(self, kind: str) -> None:
        """Take another node's hint that lanes of a kind can be claimed."""
        if kind in self._all:
            self._all[kind].look()

    def look(self) -> None:
        """See what there is: something may have been freed, or told while nobody listened."""
        for ready in self._all.values():
            ready.look()

    def forget(self) -> None:
        """Give nothing out any more that was leased under a lost number."""
        for ready in self._all.values():
            ready.clear()

    def pause(self) -> None:
        """Give nothing out, and lease nothing, from now on."""
        for ready in self._all.values():
            ready.paused = True
