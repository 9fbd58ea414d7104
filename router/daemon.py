"""The composition root: builds everything, owns the task group, starts and stops in order."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc
import anyio.to_thread

from router import __version__
from router.clock import Clock, FollowingClock, SystemClock
from router.errors import StorageUnavailable
from router.ids import Ids, new_id
from router.knowledge.indexing import Indexer
from router.logs import Redaction
from router.metrics import Metrics
from router.pipeline.ai.ask import Asker
from router.pipeline.delivery.deliver import Deliverer
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import Instances, Live, LiveChannel
from router.pipeline.instances.lifespans import Lifespans
from router.pipeline.intake.intake import Intake
from router.pipeline.intake.responding import Responder
from router.pipeline.intake.rush import Rush
from router.pipeline.media.media import Media
from router.pipeline.media.shelf import Shelf
from router.pipeline.outbound.approvals import Approvals
from router.pipeline.people.surroundings import Configured
from router.pipeline.reloading.reloading import Reloader
from router.pipeline.triage.triage import Triage
from router.pipeline.triage.worker import Worker
from router.plugin.context import Log
from router.schedule.listing import Listings
from router.schedule.polling import Pollers
from router.schedule.retention import Retention
from router.schedule.silence import SilenceAlarm
from router.schedule.sweeping import Sweeper
from router.schedule.timers import Timers
from router.schedule.wall_clock import WallClock
from router.settings.model import Settings
from router.storage.sqlite.store import SQLiteStore
from router.storage.store import JOB, OUT, Store

SQLITE = "sqlite+aiosqlite:///"
#: Seconds that instances get to start before others are served without them.
_START = 3.0
#: Seconds to wait while the database is away.
_STORAGE_PAUSE = 1.0


class Router:
    """The router without its web server: everything between intake and delivery.

    Enter it as a context manager; it works until it is left, and then gives everything back.

    :param store: open already; closed by whoever opened it.
    :param offline: channels send nothing and actions do nothing.
    :param load: reads the configuration's files again, for a reload; ``None``: there is none.
    :param redaction: learns the secrets of what is reloaded.
    :param metrics: what the process has counted so far.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        log: Log,
        ids: Ids = new_id,
        offline: bool = False,
        load: Callable[[], Settings] | None = None,
        redaction: Redaction | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.store = store
        # The store's, and no other: on PostgreSQL it follows the server's.
        self.clock = store.clock
        self.log = log
        self.metrics = metrics or Metrics()
        self.draining = False
        self._drained = False
        self._since = self.clock.now()
        instances = Instances(settings, self.clock, log, offline=offline)
        self.configuration = Configuration(settings, instances)
        self._ids = ids
        self._approvals = Approvals(self._since)
        self._triage = self._deciding(self.configuration)
        responder = Responder(
            store, lambda: self.configuration, lambda: self.draining, log, self.metrics
        )
        rush = Rush()
        self.intake = Intake(store, log, self.metrics, rush, responder.respond)
        self._listings = Listings(
            store, lambda: self.configuration, self._approvals, self.clock, log
        )
        self._pollers = Pollers(
            store,
            lambda: self.configuration,
            self.intake,
            self.clock,
            log,
            self.metrics,
            own=self._listings.pollers,
        )
        self._lifespans = Lifespans(log, self._pollers.run)
        shared = (self.clock, log, self.metrics)
        self._indexer = Indexer(store, lambda: self.settings, self.clock, log)
        shelf = Shelf(lambda: self.configuration)
        asker = Asker(store, lambda: self.configuration, self._indexer.wait, *shared, shelf=shelf)
        self._worker = Worker(store, lambda: self._triage, *shared, rush)
        media = Media(store, lambda: self.configuration, shelf, *shared, flights=asker.flights)
        self._deliverer = Deliverer(
            store,
            lambda: self.configuration,
            asker,
            *shared,
            rush=rush,
            media=media,
            ids=ids,
            approvals=self._approvals,
        )
        self._silence = SilenceAlarm(store, lambda: self.settings, self.clock, log)
        self._sweeper = Sweeper(store, lambda: self.settings, shelf, log)
        self.surroundings = Configured(lambda: self.configuration, self._sweeper.wake)
        self._duties = (
            Timers(store, log),
            WallClock(store, self.clock, log),
            self._silence,
            self._sweeper,
            Retention(store, lambda: self.settings, log),
            self._listings,
        )
        self.reloader = Reloader(
            load,
            current=lambda: self.configuration,
            swap=self._swap,
            closed=self._closed,
            lifespans=self._lifespans,
            clock=self.clock,
            log=log,
            metrics=self.metrics,
            redaction=redaction or Redaction(),
            offline=offline,
        )
        self._running = self._run()

    @property
    def settings(self) -> Settings:
        return self.configuration.settings

    def channel(self, tenant: str, name: str) -> LiveChannel | None:
        """Give a channel that is switched on."""
        return self.configuration.instances.channels.get((tenant, name))

    def readiness(self) -> list[str]:
        """Name what is not ready; empty is ready."""
        return [*self.store.trouble, *self.configuration.instances.down()]

    def held_back(self) -> list[str]:
        """Name the instances whose circuit breaker is open: nothing leaves there for now."""
        return self.configuration.instances.held_back()

    def status(self) -> dict[str, Any]:
        """Give what only the living process knows, as values for JSON."""
        return {
            "pid": os.getpid(),
            "version": __version__,
            "since": self._since.isoformat(),
            "draining": self.draining,
            "trouble": [
                *self.readiness(),
                *(f"{name} fails: circuit breaker open" for name in self.held_back()),
                *(trouble for each in self._duties for trouble in each.duty.trouble()),
                *self._pollers.trouble(),
                *self._silence.trouble(),
                *self._deliverer.trouble(),
                *map(str, self._listings.refused()),
                *self._indexer.doubts,
                *self._unloaded(),
            ],
            "settings": {
                "path": str(self.settings.path),
                "hash": self.settings.hash,
                "loaded_at": self.reloader.loaded.at.isoformat(),
                "restart": list(self.reloader.loaded.restart),
                "last_load": self.reloader.last.as_values(),
            },
            "instances": [
                {
                    "tenant": live.tenant,
                    "name": live.label,
                    "kind": live.kind,
                    "up": live.up,
                    "required": live.settings.required,
                    "error": live.error,
                    "breaker": live.breaker.as_values(),
                }
                for live in self.configuration.instances.all()
            ],
            "pollers": [each.as_values() for each in self._pollers.standing()],
            "templates": self._listings.standing(),
        }

    def _unloaded(self) -> list[str]:
        if self.reloader.last.applied:
            return []
        return ["the last reload was refused: what runs is not what the files say"]

    async def __aenter__(self) -> Self:
        await self._running.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._running.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        # Before anything else runs: see router/storage/sqlite/sql.py.
        import router.storage.breakers
        import router.storage.database.reading  # noqa: F401

        # Closed only when nothing of ours calls a plugin any more.
        async with self._lifespans.open():
            await self._recall()
            await self._lifespans.begin(self.configuration.instances.all(), _START)
            async with anyio.create_task_group() as work:
                work.start_soon(self.store.failed)
                work.start_soon(self._indexer.run)
                work.start_soon(self._restore)
                work.start_soon(self._worker.run)
                work.start_soon(self._deliverer.run, OUT)
                work.start_soon(self._deliverer.run, JOB)
                work.start_soon(self._deliverer.call_off)
                for each in self._duties:
                    work.start_soon(each.run)
                yield
                await self.drain()
                work.cancel_scope.cancel()
        await self.store.release_all()

    async def drain(self) -> None:
        """Begin nothing more, and let what is under way end; what waits stays in the database.

        What comes in meanwhile is stored, and worked after the next start. Only the first call
        waits.
        """
        if self._drained:
            return
        self.draining = self._drained = True
        self.reloader.stop()
        self._pollers.stop()
        self.store.pause()
        self._deliverer.pause()
        with anyio.move_on_after(self.settings.server.drain):
            await self._pollers.idle()
            await self._worker.idle()
            await self._deliverer.idle()

    def _swap(self, configuration: Configuration) -> None:
        """Put another configuration in force; waits for nothing."""
        before, self.configuration = self.configuration.settings, configuration
        self._triage = self._deciding(configuration)
        self._listings.renewed()
        self._pollers.renew()
        self._indexer.swapped(before)

    def _deciding(self, configuration: Configuration) -> Triage:
        return Triage(
            configuration,
            self.clock,
            self._ids,
            self.store.aliases,
            ages=self.store.ages,
            approvals=self._approvals,
        )

    async def _recall(self) -> None:
        """Learn what providers last listed before anything is planned; later, if it must be."""
        try:
            await self._listings.load()
        except StorageUnavailable as error:
            self.log.error("templates not read", error=str(error))

    async def _closed(self, live: Live[Any]) -> None:
        """Forget what is kept of an instance that was replaced or removed."""
        from router.pipeline.attempts.guard import forget

        known = {(it.tenant, it.label): it for it in self.configuration.instances.all()}
        other = known.get((live.tenant, live.label))
        if other is not None and other.breaker.is_open:
            return  # it is kept of the other one now
        try:
            await forget(self.store, live)
        except StorageUnavailable as error:
            self.log.error("circuit breaker not stored", error=str(error))

    async def _restore(self) -> None:
        """Go on with the circuit breakers that were open when the last process ended."""
        from router.pipeline.attempts.guard import restore

        while True:
            try:
                await restore(self.store, self.configuration.instances)
            except StorageUnavailable as error:
                self.log.error("circuit breakers not read", error=str(error))
                await anyio.sleep(_STORAGE_PAUSE)
            else:
                return


@asynccontextmanager
async def open_store(
    settings: Settings, *, migrate: bool = True, clock: Clock | None = None
) -> AsyncIterator[Store]:
    """Open the configured database, its schema brought up to date.

    :raises StorageError: in words.
    """
    from router.storage.database.migrating import ensure

    url = settings.router.database
    store: Store
    if url.startswith(SQLITE):
        path = Path(url.removeprefix(SQLITE))
        store = await SQLiteStore.open(
            path, clock or SystemClock(), prepare=lambda: ensure(path, migrate=migrate)
        )
    else:
        from router.storage.postgres.store import PostgresStore  # it brings its driver

        await anyio.to_thread.run_sync(lambda: ensure(url, migrate=migrate))
        lease, clock = settings.router.lease, clock or FollowingClock(SystemClock())
        store = await PostgresStore.open(url, clock, lease=lease, heartbeat=min(1.0, lease / 3))
    try:
        yield store
    finally:
        await store.close()
