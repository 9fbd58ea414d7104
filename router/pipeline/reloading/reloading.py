"""Reloading: another configuration is built whole beside the one in force, then put in its place.

    read the files ──► try it on recorded traffic, where that is asked for
                              │
                              ▼
                       make and start what changed ──► probe it ──► swap ──► close what it replaced

Where a step fails it is refused, and nothing has changed.

The swap itself waits for nothing, so that it lies between two events: each event is decided by one
configuration or the other, and a webhook finds its channel before and after.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import anyio

from router.clock import Clock
from router.errors import ActRefused, ConfigError, PluginError, words_of
from router.logs import Redaction
from router.metrics import Metrics
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.instances import Instances, Live
from router.pipeline.instances.lifespans import Lifespans
from router.pipeline.reloading.load import Load
from router.plugin.context import Log
from router.settings.changes import changes, in_force, needs_restart
from router.settings.inputs import SLOW, still_reading
from router.settings.model import Settings
from router.threads import Threads

_T = TypeVar("_T")


class Reloader:
    """Puts another configuration in force, one load after the other.

    :param load: reads the files; called in a thread; ``None``: there are none to read again.
    :param current: gives the configuration in force.
    :param swap: puts another one in force; waits for nothing.
    :param closed: awaited after an instance that was replaced or removed is closed.
    :param redaction: learns the secrets of what is loaded.
    :param offline: see :class:`Instances`.
    :ivar last: how the last load ended.
    :ivar loaded: how the last one that was not refused ended.
    """

    def __init__(
        self,
        load: Callable[[], Settings] | None,
        *,
        current: Callable[[], Configuration],
        swap: Callable[[Configuration], None],
        closed: Callable[[Live[Any]], Awaitable[None]],
        lifespans: Lifespans,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        redaction: Redaction,
        offline: bool = False,
    ) -> None:
        self._load = load
        self._current = current
        self._swap = swap
        self._closed = closed
        self._lifespans = lifespans
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._redaction = redaction
        self._offline = offline
        self._lock = anyio.Lock()
        self._threads = Threads(1)
        self._stopped = False
        self.last = Load(by="start", at=clock.now(), hash=current().settings.hash)
        self.loaded = self.last
        #: Set once the load that was under way has ended; then there is another one.
        self.ended = anyio.Event()

    def stop(self) -> None:
        """Put nothing in force any more."""
        self._stopped = True

    async def reload(self, by: str) -> Load:
        """Read the files again, and put what they say in force if all of it can be.

        Loads wait for each other. What the files say is taken up as a whole or not at all, but
        for settings that need a restart, which are named.

        :param by: see :class:`Load`.
        :raises ActRefused: if there are no files, or the router stops.
        """
        async with self._lock:
            return await self._next(by)

    async def reload_if(self, stale: Callable[[], bool], by: str) -> Load | None:
        """Do as :meth:`reload` does, if it is still needed when its turn comes.

        :param stale: asked in a thread, when no other load is under way.
        :return: how that ended; ``None`` if nothing is stale.
        :raises ActRefused: as :meth:`reload`.
        """
        async with self._lock:
            return await self._next(by) if await self._in_thread(stale) else None

    async def _next(self, by: str) -> Load:
        if self._load is None:
            raise ActRefused("this router was not started from files")
        self._check_not_stopped()
        load = await self._tried(self._load, by)
        self.last = load
        if load.applied:
            self.loaded = load
        self._tell(load)
        self.ended.set()
        self.ended = anyio.Event()
        return load

    async def _in_thread(self, look: Callable[[], _T]) -> _T:
        """Look at the files, and tell if they keep whoever waits for that waiting."""
        loop = asyncio.get_running_loop()
        telling = loop.call_later(SLOW, self._log.warning, still_reading("reload"))
        try:
            return await self._threads.run(look)
        finally:
            telling.cancel()

    def _check_not_stopped(self) -> None:
        if self._stopped:
            raise ActRefused("the router is stopping: its files are read at the next start")

    async def _tried(self, read: Callable[[], Settings], by: str) -> Load:
        at, began = self._clock.now(), self._clock.monotonic()
        before = self._current()

        def refused(problems: list[str], *, mistakes: bool = False) -> Load:
            return Load(
                by=by,
                at=at,
                hash=before.settings.hash,
                seconds=self._clock.monotonic() - began,
                problems=tuple(map(self._redaction.clean, problems)),
                mistakes=mistakes,
            )

        try:
            wanted = await self._in_thread(read)
        except ConfigError as error:
            return refused([str(problem) for problem in error.problems], mistakes=True)
        except Exception as error:  # noqa: BLE001 - plugins' models validate in there
            words = " ".join(words_of(error).split())
            return refused([f"the files cannot be read: {words}"])
        self._redaction.add(wanted.secrets)
        restart = needs_restart(before.settings, wanted)
        settings = in_force(before.settings, wanted)
        try:
            instances = Instances(
                settings, self._clock, self._log, offline=self._offline, before=before.instances
            )
        except PluginError as error:
            return refused([str(error)])
        if objections := await self._objections(before, Configuration(settings, instances)):
            return refused(objections)
        self._check_not_stopped()
        swapped = False
        try:
            await self._lifespans.start(instances.made)
            problems, doubts = await self._judged(instances.made)
            if problems:
                return refused(problems)
            self._check_not_stopped()
            changed = changes(before.settings, settings)
            # From here to the end nothing waits, so nobody sees one half.
            instances.adopt()
            self._swap(Configuration(settings, instances))
            swapped = True
        finally:
            if not swapped:
                await self._undone(instances.made)
        stay = {id(live) for live in instances.all()}
        ended = [live for live in before.instances.all() if id(live) not in stay]
        for live in ended:
            self._lifespans.end(live, partial(self._closed, live))
        return Load(
            by=by,
            at=at,
            hash=settings.hash,
            seconds=self._clock.monotonic() - began,
            changed=changed,
            restart=restart,
            started=tuple(live.label for live in instances.made),
            ended=tuple(live.label for live in ended),
            kept=len(stay) - len(instances.made),
            doubts=tuple(map(self._redaction.clean, (*map(str, settings.warnings), *doubts))),
        )

    async def _objections(self, before: Configuration, after: Configuration) -> list[str]:
        """Say what recorded traffic has against a configuration, where it asks for that."""
        if after.settings.router.reload_replay is None:
            return []
        from router.pipeline.replay.trial import Trial  # here, because a start does not need it

        trial = Trial(self._clock)
        return await self._threads.run(
            partial(trial.objections, before, after, lambda: not self._stopped)
        )

    async def _judged(self, made: list[Live[Any]]) -> tuple[list[str], list[str]]:
        """Say what keeps new instances from serving, and what is only doubtful about them."""
        problems = [
            f"{live.label} does not start: {live.error}. Mend its table, {live.settings.position}"
            for live in made
            if not live.up
        ]
        if problems:
            return problems, []
        doubts: list[str] = []

        async def check(live: Live[Any]) -> None:
            error = await self._lifespans.check(live)
            if error is None:
                return
            live.error = error
            words = f"{live.label}: its check failed: {error}"
            (problems if live.settings.required else doubts).append(words)

        async with anyio.create_task_group() as checks:
            for live in made:
                checks.start_soon(check, live)
        return sorted(problems), sorted(doubts)

    async def _undone(self, made: list[Live[Any]]) -> None:
        """Close what was made for a configuration that does not come into force."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for live in made:
                    tasks.start_soon(self._lifespans.stop, live)

    def _tell(self, load: Load) -> None:
        outcome = "applied" if load.applied else "refused"
        self._metrics.reloads.count(outcome)
        if not load.applied:
            self._log.error(
                "not reloaded: what runs goes on unchanged", by=load.by, problems=load.problems
            )
            return
        self._log.info(
            "reloaded",
            by=load.by,
            hash=load.hash,
            changed=load.changed,
            started=load.started,
            ended=load.ended,
            kept=load.kept,
            seconds=round(load.seconds, 3),
        )
        for doubt in load.doubts:
            self._log.warning(doubt)
        if load.restart:
            self._log.warning("settings that need a restart", settings=load.restart)
