"""Delivery: what was decided to leave leaves, one attempt at a time, with a known outcome."""

import asyncio
from collections.abc import Callable

import anyio

from router.clock import Clock
from router.domain.outbox import ItemKind
from router.errors import StorageUnavailable, place_of
from router.ids import Ids
from router.metrics import Metrics
from router.pipeline.ai.ask import Asker
from router.pipeline.attempts.guard import Guard
from router.pipeline.attempts.recurring import Recurring
from router.pipeline.attempts.room import Room
from router.pipeline.delivery.attempting import Attempts
from router.pipeline.delivery.reconcile import Reconciler
from router.pipeline.delivery.running import Actions
from router.pipeline.delivery.sending import Messages
from router.pipeline.instances.busy import Busy
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.elsewhere import Elsewhere, missing
from router.pipeline.intake.rush import Rush
from router.pipeline.media.media import Media
from router.pipeline.outbound.approvals import Approvals
from router.plugin.context import Log
from router.storage.store import Item, LaneKind, Store

_BATCH = 64
_ABOUT_FILES = frozenset({ItemKind.FETCH, ItemKind.TRANSCRIBE})
#: Items taken and not ended, of one kind of lane. A slow model's questions must not fill it, for
#: actions come the same way, and one of them may be calling a person.
_TAKEN = 2000
_STORAGE_PAUSE = 1.0


class Deliverer:
    """Does what the outbox holds, until cancelled.

    :param configuration: gives the configuration in force; asked for each item.
    :param rush: what work gives way to.
    :param approvals: what providers say of their templates; ``None``: nothing is known.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        asker: Asker,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        *,
        rush: Rush,
        media: Media,
        ids: Ids,
        approvals: Approvals | None = None,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._asker = asker
        self._log = log
        self._rush = rush
        self._media = media
        self._flights = asker.flights
        guard = Guard(store, configuration, clock, log, metrics, ids=ids)
        attempts = Attempts(
            store, configuration, guard, self._flights, clock, log, metrics=metrics, ids=ids
        )
        self._messages = Messages(attempts, store, configuration, clock, approvals)
        self._actions = Actions(attempts, configuration)
        self._reconciler = Reconciler(
            store, configuration, guard, self._flights, clock, log, ids=ids
        )
        self._elsewhere = Elsewhere(store, clock, log)
        self._busy = Busy()
        self._recurring = Recurring(clock)
        self._room = Room()
        self._paused = False

    def trouble(self) -> list[str]:
        """Say what breaks again and again by a mistake of ours, for ``router status``."""
        return self._recurring.trouble()

    def pause(self) -> None:
        """Begin nothing more: what waits for its place goes back with the node's other leases."""
        self._paused = True

    async def idle(self) -> None:
        """Wait until no attempt is under way."""
        await self._busy.idle()

    async def call_off(self) -> None:
        """Call off what is under way whenever this node was taken for dead, until cancelled.

        Others have its work. What came of a call that had ended by then is stored all the same.
        """
        while True:
            await self._store.wait_lost()
            number = self._flights.call_off()
            self._log.warning("this node was taken for dead", called_off=number)

    async def run(self, kind: LaneKind) -> None:
        """Take items of one kind of lane and do them, many at once, one lane's in order."""
        taken = anyio.Semaphore(_TAKEN, fast_acquire=True)
        async with asyncio.TaskGroup() as tasks:  # a task costs a third of one of anyio's
            while True:
                await taken.acquire()
                taken.release()
                try:
                    limit = await self._rush.give_way(_BATCH)
                    items = await self._store.claim_items(kind, limit)
                except StorageUnavailable as error:
                    self._log.error("the database is away", error=str(error))
                    await anyio.sleep(_STORAGE_PAUSE)
                    continue
                for item in items:
                    await taken.acquire()
                    tasks.create_task(self._one(item, taken))

    async def _one(self, item: Item, taken: anyio.Semaphore) -> None:
        try:
            async with self._room.share(item), self._room.all(item):
                if self._paused:
                    return
                with self._busy.one():
                    await self._do(item)
            self._recurring.ended(item.id)
        except StorageUnavailable as error:
            # The lease stays with us; the item is looked at again when the database is back.
            self._log.error("attempt not stored", item=item.id, error=str(error))
            await self._give_back(item)
        except Exception as error:  # noqa: BLE001 - a worker turn: our mistake stops one item
            await self._broke(item, error)
        finally:
            taken.release()

    async def _broke(self, item: Item, error: Exception) -> None:
        """Let an item rest, longer each time: what recurs would fill the log, and call providers.

        For a call that may be repeated is made again whenever its end could not be written.
        """
        broken = self._recurring.broke(item.id, error)
        self._log.error(
            "attempt broke",
            item=item.id,
            error=broken.error,
            where=place_of(error),
            times=broken.times,
            again_at=broken.again_at.isoformat(),
        )
        try:
            await self._store.postpone(item, broken.again_at)
        except StorageUnavailable:
            await self._give_back(item)

    async def _do(self, item: Item) -> None:
        if await self._elsewhere.takes(item, missing(self._configuration(), item)):
            return
        if item.kind is ItemKind.MESSAGE:
            await self._messages.send(item)
        elif item.kind is ItemKind.ACTION:
            await self._actions.run(item)
        elif item.kind is ItemKind.RECONCILE:
            await self._reconciler.look(item)
        elif item.kind in _ABOUT_FILES:
            await self._media.do(item)
        else:
            await self._asker.ask(item)

    async def _give_back(self, item: Item) -> None:
        while True:
            await anyio.sleep(_STORAGE_PAUSE)
            try:
                await self._store.release([item])
            except StorageUnavailable:
                continue
            return
