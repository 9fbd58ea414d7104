"""The composition root: builds everything, owns the task group, starts and stops in order."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.abc
import anyio.to_thread

from router import __version__
from router.clock import Clock, SystemClock
from router.errors import ActRefused, ConfigError, RouterError, StorageUnavailable
from router.ids import Ids, new_id
from router.logs import Redaction, configure
from router.metrics import Metrics
from router.notify import Notifier
from router.pipeline.ask import Asker
from router.pipeline.configuration import Configuration
from router.pipeline.control import commands, serve, socket_path
from router.pipeline.deliver import Deliverer
from router.pipeline.instances import Instances, Live, LiveChannel
from router.pipeline.intake import Intake
from router.pipeline.lifespans import Lifespans
from router.pipeline.media import Media
from router.pipeline.reloading import Reloader
from router.pipeline.responding import Responder
from router.pipeline.shelf import Shelf
from router.pipeline.surroundings import Configured
from router.pipeline.triage import Triage
from router.pipeline.watching import Watcher
from router.pipeline.worker import Worker
from router.plugin.context import Log
from router.plugin.loading import load_plugins
from router.schedule.polling import Pollers
from router.schedule.silence import SilenceAlarm
from router.schedule.sweeping import Sweeper
from router.schedule.timers import Timers
from router.settings.inputs import Files
from router.settings.loading import load_settings, plugin_files
from router.settings.model import Settings, TenantSettings
from router.storage.sqlite import SQLiteStore
from router.storage.store import JOB, OUT, Store

if TYPE_CHECKING:
    from router.web.host import WebHost

SQLITE = "sqlite+aiosqlite:///"
#: Seconds to wait while the database is away.
_STORAGE_PAUSE = 1.0

#: How often a service manager hears how we are, in seconds; it may want to hear more often.
_TELL = 5.0


class Router:
    """The router without its web server: everything between intake and delivery.

    Enter it as a context manager; it works until it is left, and then gives everything back.

    :param store: open already; closed by whoever opened it.
    :param offline: channels send nothing and actions do nothing.
    :param load: reads the configuration's files again, for a reload; ``None``: there is none.
    :param redaction: learns the secrets of what is reloaded.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        log: Log,
        clock: Clock | None = None,
        ids: Ids = new_id,
        offline: bool = False,
        load: Callable[[], Settings] | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        self.store = store
        self.clock = clock or SystemClock()
        self.log = log
        self.metrics = Metrics()
        self.draining = False
        self._drained = False
        self._since = self.clock.now()
        self._doubts: tuple[str, ...] = ()
        instances = Instances(settings, self.clock, log, offline=offline)
        self.configuration = Configuration(settings, instances)
        self.surroundings = Configured(lambda: self.configuration)
        self._ids = ids
        self._triage = Triage(self.configuration, self.clock, ids, store.aliases)
        responder = Responder(
            store, lambda: self.configuration, lambda: self.draining, log, self.metrics
        )
        self.intake = Intake(store, log, self.metrics, responder.respond)
        self._pollers = Pollers(
            store, lambda: self.configuration, self.intake, self.clock, log, self.metrics
        )
        self._lifespans = Lifespans(log, self._pollers.run)
        #: Set once the articles are in the index; then what is set if they are to be read again.
        self._knowledge, self._unread = anyio.Event(), anyio.Event()
        shared = (self.clock, log, self.metrics)
        shelf = Shelf(lambda: self.configuration)
        asker = Asker(
            store, lambda: self.configuration, lambda: self._knowledge, *shared, shelf=shelf
        )
        self._worker = Worker(store, lambda: self._triage, *shared)
        media = Media(store, lambda: self.configuration, shelf, *shared, flights=asker.flights)
        self._deliverer = Deliverer(
            store, lambda: self.configuration, asker, *shared, media=media, ids=ids
        )
        self._timers = Timers(store, log)
        self._silence = SilenceAlarm(store, lambda: self.settings, self.clock, log)
        self._sweeper = Sweeper(store, lambda: self.settings, shelf, self.clock, log)
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
                *self._pollers.trouble(),
                *(f"silent: {name}" for name in self._silence.silent),
                *self._doubts,
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
        # Closed only when nothing of ours calls a plugin any more.
        async with self._lifespans.open():
            await self._lifespans.start(self.configuration.instances.all())
            async with anyio.create_task_group() as work:
                work.start_soon(self._index)
                work.start_soon(self._restore)
                work.start_soon(self._worker.run)
                work.start_soon(self._deliverer.run, OUT)
                work.start_soon(self._deliverer.run, JOB)
                work.start_soon(self._deliverer.call_off)
                work.start_soon(self._timers.run)
                work.start_soon(self._silence.run)
                work.start_soon(self._sweeper.run)
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
        with anyio.move_on_after(self.settings.server.drain):
            await self._pollers.idle()
            await self._worker.idle()
            await self._deliverer.idle()

    def _swap(self, configuration: Configuration) -> None:
        """Put another configuration in force; waits for nothing."""
        before, self.configuration = self.configuration.settings, configuration
        self._triage = Triage(configuration, self.clock, self._ids, self.store.aliases)
        if _articles(before) != _articles(configuration.settings) and self._knowledge.is_set():
            # Questions wait until the articles are those that the configuration names.
            self._knowledge = anyio.Event()
        self._unread.set()

    async def _closed(self, live: Live[Any]) -> None:
        """Forget what is kept of an instance that was replaced or removed."""
        from router.pipeline.guard import forget

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
        from router.pipeline.guard import restore

        while True:
            try:
                await restore(self.store, self.configuration.instances)
            except StorageUnavailable as error:
                self.log.error("circuit breakers not read", error=str(error))
                await anyio.sleep(_STORAGE_PAUSE)
            else:
                return

    async def _index(self) -> None:
        """Bring the articles into the index, and again after each reload.

        Models are asked once they are there.
        """
        while True:
            self._unread = anyio.Event()
            doubts: list[str] = []
            for tenant in self.settings.tenants.values():
                doubts += await self._index_of(tenant)
            self._doubts = tuple(doubts)
            if not self._unread.is_set():  # else other folders may be meant by now
                self._knowledge.set()
            await self._unread.wait()

    async def _index_of(self, tenant: TenantSettings) -> list[str]:
        """Bring one tenant's articles into the index; give what is doubtful about them."""
        from router.knowledge.index import refresh  # here, because it brings SQLAlchemy

        folders, language = tenant.knowledge_folders, tenant.language
        synced = None
        while synced is None:
            try:
                synced = await refresh(self.store, tenant.name, folders, language=language)
            except StorageUnavailable as error:
                self.log.error("articles not read", error=str(error))
                await anyio.sleep(_STORAGE_PAUSE)
        for problem in synced.problems:
            self.log.error("article not read", tenant=tenant.name, problem=str(problem))
        if not synced.problems:
            return []
        # What they say is not known; everything else is, so we are ready all the same.
        return [f"articles of {tenant.name} have mistakes: `router check` names them"]


def _articles(settings: Settings) -> dict[str, object]:
    """Give what decides which articles are known, by tenant."""
    tenants = settings.tenants.values()
    return {each.name: (each.knowledge_folders, each.language) for each in tenants}


@asynccontextmanager
async def open_store(
    settings: Settings, *, migrate: bool = True, clock: Clock | None = None
) -> AsyncIterator[Store]:
    """Open the configured database, its schema brought up to date.

    :raises StorageError: in words.
    """
    from router.storage.migrating import ensure

    url, clock = settings.router.database, clock or SystemClock()
    store: Store
    if url.startswith(SQLITE):
        path = Path(url.removeprefix(SQLITE))
        store = await SQLiteStore.open(path, clock, prepare=lambda: ensure(path, migrate=migrate))
    else:
        from router.storage.postgres import PostgresStore  # here, because it brings its driver

        await anyio.to_thread.run_sync(lambda: ensure(url, migrate=migrate))
        lease = settings.router.lease
        store = await PostgresStore.open(url, clock, lease=lease, heartbeat=min(1.0, lease / 3))
    try:
        yield store
    finally:
        await store.close()


def run(
    config: Path, *, host: str | None = None, port: int | None = None, migrate: bool = True
) -> int:
    """Run the daemon until it is told to stop; give the exit status.

    :raises RouterError: if it cannot start, in words.
    """
    plugins = plugin_files(config)
    registry = load_plugins(plugins)
    files = Files(config)

    def load() -> Settings:
        try:
            return files.read(lambda: load_settings(config, registry, run=True))
        except ConfigError as error:
            if plugin_files(config) == plugins:
                raise
            hint = "[router] plugins has changed: restart the router, which then loads them"
            raise ConfigError([*error.problems, hint]) from error

    settings = load()
    redaction = Redaction(settings.secrets)
    log = configure(redaction)
    for warning in settings.warnings:
        log.warning(str(warning))
    options: dict[str, Any] = {}
    try:
        import uvloop  # noqa: F401

        options["use_uvloop"] = True
    except ImportError:
        pass
    try:
        return anyio.run(
            lambda: _serve(
                settings, log, files, load, redaction, host=host, port=port, migrate=migrate
            ),
            backend_options=options,
        )
    except BaseExceptionGroup as group:
        error = _only(group)
        if error is None:
            raise
        raise error from None


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Give the one error in words that task groups have wrapped; ``None`` if it is none."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) > 1:
            return None
        error = error.exceptions[0]
    return error if isinstance(error, RouterError | OSError) else None


async def _serve(
    settings: Settings,
    log: Any,
    files: Files,
    load: Callable[[], Settings],
    redaction: Redaction,
    *,
    host: str | None,
    port: int | None,
    migrate: bool,
) -> int:
    from router.web import server as http
    from router.web.app import build_app
    from router.web.door import raise_descriptor_limit

    raise_descriptor_limit()
    server, notifier = settings.server, Notifier()
    listener = http.listen(host or server.host, server.port if port is None else port)
    stop = _Stop()
    async with (
        open_store(settings, migrate=migrate) as store,
        Router(settings, store, log=log, load=load, redaction=redaction) as router,
        _control(router),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_signals, stop, router, tasks, log)
        tasks.start_soon(Watcher(files, router.reloader, lambda: router.settings, log).run)
        for sentence in store.advice:
            log.warning(sentence)
        _announce(settings, listener.getsockname())
        address = f"{listener.getsockname()[0]}:{listener.getsockname()[1]}"
        log.info("serving", address=address)
        tasks.start_soon(_tell, notifier, router, address)
        host_: WebHost = router

        async def shutdown() -> None:
            await stop.asked.wait()
            notifier.stopping()
            # Served until this is over: whoever asks is told that we are not ready any more, and
            # what is sent all the same is kept for the next start.
            with stop.patience:
                await router.drain()

        await http.serve(build_app(host_), listener, engine=server.engine, shutdown=shutdown)
        tasks.cancel_scope.cancel()
    log.info("stopped")
    return 1 if stop.patience.cancel_called else 0


class _Stop:
    """How the daemon is told to stop: once, and for the impatient once more."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.patience = anyio.CancelScope()


@asynccontextmanager
async def _control(router: Router) -> AsyncIterator[None]:
    """Serve the control socket, through which commands reach the one writer of a SQLite file.

    A PostgreSQL database has none: commands write to it beside the nodes.
    """
    url = router.settings.router.database
    if not url.startswith(SQLITE):
        yield
        return
    path = socket_path(Path(url.removeprefix(SQLITE)))

    async def reload() -> dict[str, Any]:
        return (await router.reloader.reload("command")).as_values()

    perform = commands(router.store, router.surroundings, router.status, reload)
    async with serve(path, perform, router.log):
        yield


async def _tell(notifier: Notifier, router: Router, address: str) -> None:
    """Tell the service manager that we are up, and go on telling it while the event loop turns."""

    def status() -> str:
        if router.draining:
            return "letting what is under way end"
        missing = router.readiness()
        return f"not ready: {', '.join(missing)}" if missing else f"serving at {address}"

    notifier.ready(status())
    while notifier.wanted:
        await anyio.sleep(min(_TELL, (notifier.watchdog or _TELL) / 3))
        notifier.alive(status())


async def _signals(stop: _Stop, router: Router, tasks: anyio.abc.TaskGroup, log: Any) -> None:
    async def reload() -> None:
        with suppress(ActRefused):  # it stops
            await router.reloader.reload("SIGHUP")

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                # A terminal that goes away sends it, too, and it ends nothing.
                tasks.start_soon(reload)
            elif stop.asked.is_set():
                log.warning("told to stop twice: leaving what is under way")
                stop.patience.cancel()
            else:
                log.info("stopping", signal=signal.Signals(number).name)
                stop.asked.set()


def _announce(settings: Settings, address: tuple[Any, ...]) -> None:
    """Say where to go, on standard output."""
    host = address[0] if address[0] not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    base = f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"
    channels = [
        channel for tenant in settings.tenants.values() for channel in tenant.channels.values()
    ]
    if any(channel.kind == "simulator" and channel.enabled for channel in channels):
        print(f"Simulator: {base}/simulator")  # noqa: T201
    print(f"Health:    {base}/health/ready", flush=True)  # noqa: T201
