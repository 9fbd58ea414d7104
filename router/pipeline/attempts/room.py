"""Room for attempts that are under way, and how much of it one instance may take.

A provider that answers late is no failure, so no breaker keeps it from taking every place; without
a share of its own to keep to, everybody else's customers would wait for it.
"""

from typing import Final

import anyio

from router.domain.outbox import ItemKind
from router.storage.store import Item

#: Attempts under way at once on this node, of each of: messages, actions, questions to models...
PLACES: Final = 512
#: Attempts of these at one instance. Its HTTP client has more connections than it may use; see
#: ``MAX_CONNECTIONS`` in router/plugin/transport.py.
SHARE: Final = PLACES // 4

#: Both are put to a model.
_AS: Final = {ItemKind.CLASSIFY: ItemKind.ASK}
#: What goes by a channel, and a channel is its tenant's; backends and actions are everybody's.
_BY_CHANNEL: Final = frozenset({ItemKind.MESSAGE, ItemKind.RECONCILE, ItemKind.FETCH})


class Room:
    """The places of the attempts that are under way."""

    def __init__(self) -> None:
        self._kinds = {kind: _places(PLACES) for kind in ItemKind}
        self._shares: dict[tuple[ItemKind, str | None, str], anyio.Semaphore] = {}

    def share(self, item: Item) -> anyio.Semaphore:
        """Give the places of an item's instance; to be waited for before those of all.

        Whoever waits here is in nobody else's way, until so many wait that no more are claimed.
        """
        kind = _AS.get(item.kind, item.kind)
        key = (kind, item.tenant if kind in _BY_CHANNEL else None, item.destination)
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = _places(SHARE)
        return share

    def all(self, item: Item) -> anyio.Semaphore:
        """Give the places of everything that is of an item's kind."""
        return self._kinds[_AS.get(item.kind, item.kind)]


def _places(number: int) -> anyio.Semaphore:
    return anyio.Semaphore(number, fast_acquire=True)
