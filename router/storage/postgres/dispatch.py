"""What this node holds leased on PostgreSQL, and what the other nodes are told of."""

from collections.abc import Callable
from functools import partial
from typing import Any

from router.storage.dispatch import Dispatch
from router.storage.postgres import lanes
from router.storage.postgres.engine import Transaction
from router.storage.postgres.node import Node
from router.storage.ready import Ready
from router.storage.store import Item, Work

#: A group of statements that claims lanes, given the node's number.
Claiming = Callable[[Transaction, int], int]


class NodeDispatch(Dispatch):
    """Leased work on its way to this node's workers.

    :ivar node: this node; set before anything is published.
    """

    node: Node

    @staticmethod
    def taker(tx: Transaction, ready: Ready[Any]) -> int | None:
        """Give who leases what is idle: this node, while it has room and is to go on."""
        return tx.me if ready.room and not ready.paused else None

    def claim(self, tx: Transaction, kind: str, limit: int, claiming: Claiming) -> None:
        """Claim lanes of a kind, and say after the commit whether the database holds more.

        :param claiming: claims, publishes what it claimed, and gives how many lanes that were.
        """
        ready = self.of(kind)
        if tx.me is None:
            # Until there is a number again; a heartbeat sees to that.
            tx.published.append(partial(self._wait_for_number, ready))
            return
        full = claiming(tx, tx.me) == limit
        at = lanes.next_ready(tx, kind)
        tx.published.append(partial(ready.looked, more=full, next_at=at))

    def _wait_for_number(self, ready: Ready[Any]) -> None:
        ready.looked(more=self.node.me is not None, next_at=None)

    def _is_ours(self, leased: Work | Item) -> bool:
        return leased.lease == self.node.me

    def _left(self, ready: Ready[Any]) -> None:
        if ready.paused or not ready.room:
            # Work is left that this node does not take.
            self.node.notify(next(kind for kind, it in self._all.items() if it is ready))

    def hear(self, kind: str) -> None:
        """Take another node's hint that lanes of a kind can be claimed."""
        if kind in self._all:
            self._all[kind].look()

    def look(self) -> None:
        """See what there is: something may have been freed, or told while nobody listened."""
        for ready in self._all.values():
            ready.look()
