"""What this node's configuration does not name and another node's may: a change is under way."""

from datetime import datetime, timedelta
from typing import Final

from router.clock import Clock
from router.domain.outbox import ItemKind
from router.pipeline.instances.configuration import Configuration
from router.plugin.context import Log
from router.storage.store import Item, Store, Work

#: How long work is left to other nodes. A rolling change takes minutes, and what it adds is needed
#: by nothing that is older than the first node which has it.
GRACE: Final = timedelta(minutes=10)
#: How soon it is claimed again, by whoever is there: a node that is being started again, too.
_AGAIN: Final = timedelta(seconds=2)
#: How often the same name is logged at most.
_TOLD: Final = timedelta(minutes=1)


class Elsewhere:
    """Leaves to other nodes what only they may know how to do."""

    def __init__(self, store: Store, clock: Clock, log: Log) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._told: dict[str, datetime] = {}

    async def takes(self, leased: Item | Work, missing: str | None) -> bool:
        """Say whether work is left to other nodes; then it has gone back to its lane.

        :param missing: what it needs and this node's configuration has not; ``None``: it has all.
        """
        if missing is None or not self._store.shared:
            return False
        since = leased.received_at if isinstance(leased, Work) else leased.ready_since
        now, until = self._clock.now(), since + GRACE
        if now >= until:
            return False
        if (told := self._told.get(missing)) is None or now - told >= _TOLD:
            self._told[missing] = now
            self._log.warning("left to another node", missing=missing, until=until.isoformat())
        await self._store.postpone(leased, min(now + _AGAIN, until))
        return True


def missing(configuration: Configuration, item: Item) -> str | None:
    """Name what an item needs and a configuration has not; ``None``: it has all."""
    instances, tenant, name = configuration.instances, item.tenant, item.destination
    match item.kind:
        case ItemKind.MESSAGE | ItemKind.RECONCILE | ItemKind.FETCH:
            known = (tenant, name) in instances.channels
            return None if known else f'channel "{name}" of tenant "{tenant}"'
        case ItemKind.ACTION:
            return None if name in instances.actions else f'action "{name}"'
        case ItemKind.ASK | ItemKind.CLASSIFY if tenant not in configuration.settings.tenants:
            return f'tenant "{tenant}"'
        case _:
            return None if name in instances.backends else f'AI backend "{name}"'
