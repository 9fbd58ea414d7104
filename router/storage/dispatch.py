"""What is leased, on its way to this process's workers: handed out after each commit."""

from collections.abc import Iterable
from typing import Any, Final

from router.storage.changes import Changes
from router.storage.ready import Alarm, Ready
from router.storage.store import IN, JOB, OUT, Change, Item, Work


class Dispatch:
    """Leased work of all kinds of lanes, and what else a commit makes possible.

    :ivar inbox: events to work.
    :ivar items: outbox items to do, by the kind of their lane.
    :ivar alarm: when the next timer falls due.
    :ivar changes: what pages are told.
    """

    def __init__(self) -> None:
        self.changes: Final = Changes()
        self.alarm: Final = Alarm()
        self.inbox: Final[Ready[Work]] = Ready()
        self.items: Final[dict[str, Ready[Item]]] = {OUT: Ready(), JOB: Ready()}
        self._all: Final[dict[str, Ready[Any]]] = {IN: self.inbox, **self.items}

    def of(self, kind: str) -> Ready[Any]:
        """Give what is leased of a kind of lane."""
        return self._all[kind]

    def everything(self) -> list[Ready[Any]]:
        """Give what may have to be looked at once a function of any kind has written."""
        return list(self._all.values())

    def publish(self, published: Iterable[Any]) -> None:
        """Hand out, in the event loop, what a commit has made possible.

        Work and items go to the workers, changes to the pages; what is :class:`Ready` is to look
        into the database, and a function is called.
        """
        changes = []
        looked: dict[int, Ready[Any]] = {}
        for thing in published:
            if isinstance(thing, Work):
                if self._is_ours(thing):
                    self.inbox.offer(thing)
            elif isinstance(thing, Item):
                if self._is_ours(thing):
                    self.items[thing.lane_kind].offer(thing)
            elif isinstance(thing, Change):
                changes.append(thing)
            elif isinstance(thing, Ready):
                looked[id(thing)] = thing
            elif callable(thing):
                thing()
        for ready in looked.values():
            ready.look()
            self._left(ready)
        self.changes.publish(changes)

    def _is_ours(self, leased: Work | Item) -> bool:
        """Tell whether a lease still counts."""
        return True

    def _left(self, ready: Ready[Any]) -> None:
        """Note that the database may hold work of a kind."""

    def forget(self) -> None:
        """Give nothing out any more of what is leased."""
        for ready in self._all.values():
            ready.clear()

    def pause(self) -> None:
        """Give nothing out, and lease nothing, from now on."""
        for ready in self._all.values():
            ready.paused = True
