"""Calls to providers through their circuit breakers, and who is told when one opens."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from router.clock import Clock
from router.errors import NoConnection, ProviderError, Refused, StorageUnavailable
from router.ids import Ids, new_id
from router.metrics import Metrics
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import Instances, Live
from router.pipeline.outbound.actions import action_item
from router.plugin.context import Log
from router.rules.model import DEFAULT_QUEUE
from router.storage.store import Item, NewItem, Store, Tx

#: How soon an instance is looked at again that is starting.
STARTING = timedelta(seconds=1)

_TITLES = {
    "es": "{} no responde: no se le envía nada por ahora",
    "pt": "{} não responde: nada lhe é enviado por enquanto",
    "en": "{} does not answer: nothing is sent there for now",
}


class Guard:
    """Lets calls through while their instance's breaker does, and notes how they ended.

    :param ids: gives the ids of notices.
    """

    def __init__(
        self,
        store: Store,
        configuration: Callable[[], Configuration],
        clock: Clock,
        log: Log,
        metrics: Metrics,
        *,
        ids: Ids = new_id,
    ) -> None:
        self._store = store
        self._configuration = configuration
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._ids = ids

    async def admits(
        self, live: Live[Any] | None, item: Item, *, by: datetime | None = None
    ) -> bool:
        """Say whether a call may be made now; if not, the item has gone back to its lane.

        What is let through must end in :meth:`told` or :meth:`spared`, as in :meth:`trial`.

        :param by: the item is to be looked at again by then, whatever the breaker says.
        """
        if live is None:
            return True
        now = self._clock.now()
        if live.starting:
            await self._store.postpone(item, now + STARTING)
            return False
        wait = live.breaker.admit(now)
        if wait is None:
            return True
        await self._store.postpone(item, wait if by is None else min(wait, by))
        return False

    @contextmanager
    def trial(
        self, live: Live[Any] | None
    ) -> Iterator[Callable[[ProviderError | None], Awaitable[None]]]:
        """Give :meth:`told` for a call that was let through; what is not told was spared.

        A breaker that heard nothing of the one call that tries would wait for it for ever.
        """
        heard = False

        async def told(error: ProviderError | None) -> None:
            nonlocal heard
            heard = True
            await self.told(live, error)

        try:
            yield told
        finally:
            if not heard:
                self.spared(live)

    def spared(self, live: Live[Any] | None) -> None:
        """Note that a call was not made after all."""
        if live is not None:
            live.breaker.spared()

    async def told(self, live: Live[Any] | None, error: ProviderError | None) -> None:
        """Note how a call ended.

        A refusal is an answer: whoever refuses is there. A call for which we had no connection says
        nothing of the provider. A breaker that opens is kept, and told to whoever the queue
        ``default`` names, once, however long it stays open, and however many nodes find it so.

        :param error: ``None`` if it succeeded.
        """
        if live is None:
            return
        breaker, now = live.breaker, self._clock.now()
        if isinstance(error, NoConnection):
            breaker.spared()
        elif error is None or isinstance(error, Refused):
            if breaker.succeeded():
                self._log.info("circuit breaker closed", instance=live.label)
                await self._keep(partial(_closed, live.tenant, live.label))
            elif breaker.is_to_look(now):
                await self._keep(partial(_answered, live.tenant, live.label, now))
        elif breaker.failed(error.reason, now):
            news = breaker.opened_at == now
            self._log.error(
                "circuit breaker opened" if news else "circuit breaker stays open",
                instance=live.label,
                error=error.reason,
                until=None if breaker.until is None else breaker.until.isoformat(),
            )
            if news:
                self._metrics.breakers.count(live.tenant, live.name, live.kind)
            # One that stays open is no news, even if another node's has closed meanwhile.
            notices = self._notices(live) if breaker.untold else []
            if await self._keep(partial(_opened, live=live, notices=notices)):
                breaker.untold = False

    async def _keep(self, function: Callable[[Tx], None]) -> bool:
        try:
            await self._store.write(function)
        except StorageUnavailable as error:
            # The breaker works without; only a restart forgets it.
            self._log.error("circuit breaker not stored", error=str(error))
            return False
        return True

    def _notices(self, live: Live[Any]) -> list[NewItem]:
        configuration = self._configuration()
        queue = configuration.settings.queues.get(DEFAULT_QUEUE)
        if queue is None:
            return []
        language = configuration.settings.tenants[live.tenant].language.partition("-")[0]
        title = _TITLES.get(language, _TITLES["en"]).format(live.label)
        # Not through what is broken itself.
        broken = live.name if live.settings.group == "actions" else None
        names = [name for name in queue.notify if name != broken]
        params = {"title": title, "text": f"{live.breaker.error} (router status)"}
        return [action_item(name, params, because=title, ids=self._ids) for name in names]


def _opened(tx: Tx, *, live: Live[Any], notices: list[NewItem]) -> None:
    from router.storage.breakers import OpenBreaker, note_open

    breaker = live.breaker
    opened_at, until = breaker.opened_at or tx.now, breaker.until or tx.now
    row = OpenBreaker(
        tenant=live.tenant,
        instance=live.label,
        opened_at=opened_at,
        until=until,
        error=breaker.error,
    )
    if note_open(tx.connection, row) and notices:
        tx.send(notices, tenant=live.tenant, conversation=None, epoch=0)


def _closed(tenant: str, instance: str, tx: Tx) -> None:
    from router.storage.breakers import note_closed

    note_closed(tx.connection, tenant, instance)


def _answered(tenant: str, instance: str, now: datetime, tx: Tx) -> None:
    from router.storage.breakers import note_success

    note_success(tx.connection, tenant, instance, now)


async def forget(store: Store, live: Live[Any]) -> None:
    """Forget that the breaker of an instance is open: the instance is no more.

    :raises StorageUnavailable: if the database is away.
    """
    if live.breaker.is_open:
        await store.write(partial(_closed, live.tenant, live.label))


async def restore(store: Store, instances: Instances) -> None:
    """Let the breakers that were open when the process ended go on being open.

    What is kept of instances that are no more, or have no breaker any more, is forgotten.

    :raises StorageUnavailable: if the database is away.
    """
    from router.storage.breakers import open_breakers

    known = {(live.tenant, live.label): live.breaker for live in instances.all()}
    gone = []
    for row in await store.read(open_breakers):
        breaker = known.get((row.tenant, row.instance))
        if breaker is not None and breaker.after:
            breaker.restore(row.opened_at, row.until, row.error)
        else:
            gone.append(row)
    for row in gone:
        await store.write(partial(_closed, row.tenant, row.instance))
