"""The daemon's process: how it starts, is told to stop or to reload, and says that it is well."""

import gc
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from router.daemon import SQLITE, Router, open_store
from router.ending import GRACE, HASTE, Ending
from router.errors import ActRefused, ConfigError, RouterError
from router.logs import Redaction, configure
from router.metrics import Metrics
from router.notify import Notifier
from router.pipeline.people.control import commands, serve, socket_path
from router.pipeline.reloading.watching import Watcher
from router.settings.inputs import SLOW, Files, still_reading
from router.settings.loading import load_registry, load_settings, plugin_files
from router.settings.model import Settings
from router.streams import print_no_more

if TYPE_CHECKING:
    from router.web.host import WebHost

#: New objects after which the youngest are looked through for what nobody needs any more.
_YOUNG = 5000
#: How often a service manager hears how we are, in seconds; it may want to hear more often.
_TELL = 5.0


def run(
    config: Path, *, host: str | None = None, port: int | None = None, migrate: bool = True
) -> int:
    """Run the daemon until it is told to stop; give the exit status.

    :raises RouterError: if it cannot start, in words.
    """
    # Nearly all that the start makes is kept: see keep_pauses_short, which switches it on again.
    gc.disable()
    # A terminal that goes away sends it, too, and it ends nothing: not the start, either.
    hung_up = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: hung_up.set())
    tell = threading.Timer(SLOW, sys.stderr.write, [f"{still_reading('start')}\n"])
    tell.daemon = True
    tell.start()
    plugins = plugin_files(config)
    registry = load_registry(config)
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
    tell.cancel()
    redaction = Redaction(settings.secrets)
    metrics = Metrics()
    log = configure(redaction, lost=metrics.log_lines_lost.count)
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
                settings,
                log,
                files,
                load,
                redaction,
                hung_up,
                metrics=metrics,
                host=host,
                port=port,
                migrate=migrate,
            ),
            backend_options=options,
        )
    except BaseExceptionGroup as group:
        error = _only(group)
        if error is None:
            raise
        raise error from None
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


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
    hung_up: threading.Event,
    *,
    metrics: Metrics,
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
    stop = _Stop(log)
    # Signals are heard until all is closed: whoever is impatient may be so at any moment.
    async with anyio.create_task_group() as hearing:
        async with (
            open_store(settings, migrate=migrate) as store,
            Router(
                settings, store, log=log, load=load, redaction=redaction, metrics=metrics
            ) as router,
            _control(router, listener.getsockname()),
            anyio.create_task_group() as tasks,
        ):
            hearing.start_soon(_signals, stop, router, tasks, hung_up)
            tasks.start_soon(Watcher(files, router.reloader, lambda: router.settings, log).run)
            for sentence in store.advice:
                log.warning(sentence)
            keep_pauses_short()
            _announce(settings, listener.getsockname())
            address = f"{listener.getsockname()[0]}:{listener.getsockname()[1]}"
            log.info("serving", address=address)
            tasks.start_soon(_tell, notifier, router, address)
            host_: WebHost = router

            async def shutdown() -> None:
                await stop.asked.wait()
                notifier.stopping()
                # Served until this is over: whoever asks is told that we are not ready any more,
                # and what is sent all the same is kept for the next start.
                with stop.patience:
                    await router.drain()

            try:
                await http.serve(
                    build_app(host_), listener, engine=server.engine, shutdown=shutdown
                )
            finally:
                # Something may have broken without anybody asking for a stop.
                stop.closing = True
                stop.ending.within(GRACE)
            tasks.cancel_scope.cancel()
        hearing.cancel_scope.cancel()
    log.info("stopped")
    status = 1 if stop.patience.cancel_called else 0
    stop.ending.stopped(status)
    return status


def keep_pauses_short() -> None:
    """Let the garbage collector pass over what the start has made, which lives as long as we do.

    Under load it would look through all of it again and again, and everything waits meanwhile, for
    a tenth of a second each time. What it left over stays, too: to look for that now would keep the
    first webhook waiting for as long.

    Once only. What a reload makes is a tenth of that, and is looked through now and then. Passed
    over as well, what it replaces would stay for ever where it refers to itself, unless all of this
    were looked through first, and everything waited for that.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    gc.enable()


class _Stop:
    """How the daemon is told to stop: once, and for the impatient once more."""

    def __init__(self, log: Any) -> None:
        self.asked = anyio.Event()
        self.patience = anyio.CancelScope()
        #: Nothing is served any more, for whatever reason.
        self.closing = False
        self.ending = Ending(log)
        self._log = log

    def ask(self, number: int, drain: float) -> None:
        """Note a signal to stop."""
        if self.asked.is_set():
            self._log.warning("told to stop twice: leaving what is under way")
            self.patience.cancel()
            self.ending.within(HASTE)
        else:
            self._log.info("stopping", signal=signal.Signals(number).name)
            self.asked.set()
            self.ending.within(drain + GRACE)


@asynccontextmanager
async def _control(router: Router, address: tuple[Any, ...]) -> AsyncIterator[None]:
    """Serve the control socket, through which commands reach the one writer of a SQLite file.

    A PostgreSQL database has none: commands write to it beside the nodes.

    :param address: where the web server listens: host and port.
    """
    url = router.settings.router.database
    if not url.startswith(SQLITE):
        yield
        return
    path = socket_path(Path(url.removeprefix(SQLITE)))

    async def reload() -> dict[str, Any]:
        return (await router.reloader.reload("command")).as_values()

    def status() -> dict[str, Any]:
        return {**router.status(), "address": {"host": address[0], "port": address[1]}}

    perform = commands(router.store, router.surroundings, status, reload)
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


async def _signals(
    stop: _Stop, router: Router, tasks: anyio.abc.TaskGroup, hung_up: threading.Event
) -> None:
    """Do as signals say.

    :param hung_up: SIGHUP came while nobody was here to hear it.
    """

    async def reload() -> None:
        with suppress(ActRefused):  # it stops
            await router.reloader.reload("SIGHUP")

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        if hung_up.is_set():
            tasks.start_soon(reload)
        async for number in signals:
            if number != signal.SIGHUP:
                stop.ask(number, router.settings.server.drain)
            elif not (stop.asked.is_set() or stop.closing):
                tasks.start_soon(reload)


def _announce(settings: Settings, address: tuple[Any, ...]) -> None:
    """Say where to go, on standard output."""
    host = address[0] if address[0] not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    base = f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"
    channels = [
        channel for tenant in settings.tenants.values() for channel in tenant.channels.values()
    ]
    try:
        if any(channel.kind == "simulator" and channel.enabled for channel in channels):
            print(f"Simulator: {base}/simulator")  # noqa: T201
        print(f"Health:    {base}/health/ready", flush=True)  # noqa: T201
    except OSError:
        # Nobody reads it, or its disk is full: that is no reason not to serve.
        print_no_more()
