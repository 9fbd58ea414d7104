"""Retention: conversations that were over longer ago than ``[policy] keep`` says are deleted."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from router.errors import StorageUnavailable
from router.plugin.context import Log
from router.schedule.duty import Duty
from router.settings.model import Settings
from router.storage.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from router.storage.retention.threads import Thread

Result = TypeVar("Result")

#: Seconds between two sweeps.
_EVERY: Final = 3600.0
#: Conversations that are looked at together, and other rows.
_THREADS: Final = 20
_LOOK: Final = 200
#: Rows that one transaction deletes: on SQLite everybody waits for it, for some milliseconds.
_ROWS: Final = 150
#: How long others have their turn at the database after each transaction: so many times as long as
#: it took, the wait for them included; in seconds at least and at most.
_SHARE: Final = 4
_REST: Final = (0.01, 1.0)


class Retention:
    """Deletes what is kept no longer, until cancelled.

    :param every: seconds between two sweeps.
    """

    def __init__(
        self,
        store: Store,
        settings: Callable[[], Settings],
        log: Log,
        *,
        every: float = _EVERY,
    ) -> None:
        self.duty = Duty("retention", log)
        self._store = store
        self._settings = settings
        self._log = log
        self._every = every

    async def run(self) -> None:
        while True:
            await anyio.sleep(self._every)
            await self.duty.turn(self.sweep)

    async def sweep(self) -> Counter[str]:
        """Sweep once, unless another node is just at it; give how many rows of each table went."""
        total: Counter[str] = Counter()
        policies = {it.name: it.policy.keep for it in self._settings().tenants.values()}
        kept = {name: keep for name, keep in policies.items() if keep is not None}
        if not kept:
            return total
        try:
            async with self._store.alone("retention") as mine:
                for tenant, keep in kept.items() if mine else ():
                    deleted: Counter[str] = Counter()
                    try:
                        await self._forget(tenant, self._store.ages.at_least() - keep, deleted)
                    finally:
                        total += deleted
                        if deleted:
                            self._log.info("old rows deleted", tenant=tenant, **deleted)
        except StorageUnavailable as error:
            self._log.warning("old rows not deleted", error=str(error))
        return total

    async def _forget(self, tenant: str, before: datetime, deleted: Counter[str]) -> None:
        from router.storage.retention.strays import STRAYS
        from router.storage.retention.threads import old_threads  # it brings SQLAlchemy

        place: tuple[Any, ...] | None = None
        while True:
            threads = await self._store.read(
                partial(old_threads, tenant=tenant, before=before, place=place, limit=_THREADS)
            )
            if threads.over:
                await self._forget_threads(tenant, threads.over, before, deleted)
            place = threads.place
            if place is None:
                break
        for table in STRAYS:
            await self._forget_strays(tenant, table, before, deleted)

    async def _forget_threads(
        self, tenant: str, threads: "tuple[Thread, ...]", before: datetime, deleted: Counter[str]
    ) -> None:
        from router.storage.retention.deletion import delete_threads
        from router.storage.retention.threads import events_of, lanes_of

        # Before their messages go, which tell of some of them.
        lanes = await self._store.read(partial(lanes_of, threads=threads))
        done = False
        while not done:
            events = await self._store.read(
                partial(events_of, threads=threads, lanes=lanes, limit=_ROWS)
            )
            delete = partial(
                delete_threads,
                tenant=tenant,
                threads=threads,
                lanes=lanes,
                events=events,
                before=before,
                rows=_ROWS,
            )
            began = anyio.current_time()
            found, done = await self._write(delete)
            deleted.update(found)
            await _rest(began)

    async def _forget_strays(
        self, tenant: str, table: "Table", before: datetime, deleted: Counter[str]
    ) -> None:
        from router.storage.retention.strays import delete_strays, old_strays

        place: tuple[Any, ...] | None = None
        while True:
            strays = await self._store.read(
                partial(
                    old_strays, tenant=tenant, table=table, before=before, place=place, limit=_LOOK
                )
            )
            if strays.over:
                delete = partial(
                    delete_strays, tenant=tenant, table=table, keys=strays.over, before=before
                )
                began = anyio.current_time()
                deleted.update(await self._write(delete))
                await _rest(began)
            place = strays.place
            if place is None:
                return

    async def _write(self, function: "Callable[[Connection], Result]") -> Result:
        return await self._store.write(lambda tx: function(tx.connection))


async def _rest(began: float) -> None:
    """Let others write: the longer it took since then, the longer."""
    least, most = _REST
    await anyio.sleep(min(max(_SHARE * (anyio.current_time() - began), least), most))
