"""Lifespans: every plugin instance is kept up, probed and closed by a task of its own."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc

from router.domain.outbox import Backoff
from router.pipeline.instances.flights import Contained
from router.pipeline.instances.instances import Live
from router.plugin.context import Log

#: Between two tries to bring up an instance whose lifespan failed.
_REVIVAL = Backoff(base=1.0, cap=60.0)
#: Seconds until an instance is probed first, and between two probes.
_FIRST_PROBE = 5.0
_PROBE = 60.0


class Lifespans:
    """Keeps instances inside their lifespans, from :meth:`start` to :meth:`end`.

    To be entered with :meth:`open`; what still runs at its end is closed then.

    :param inside: runs for each instance inside its lifespan, and is cancelled as it ends.
    """

    def __init__(self, log: Log, inside: Callable[[Live[Any]], Coroutine[Any, Any, None]]) -> None:
        self._log = log
        self._inside = inside
        self._tasks: anyio.abc.TaskGroup | None = None
        #: By instance: what ends its task, and what is set when that has ended.
        self._running: dict[int, tuple[anyio.CancelScope, anyio.Event]] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let instances run while the context is open."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            yield
            tasks.cancel_scope.cancel()

    @property
    def _group(self) -> anyio.abc.TaskGroup:
        if self._tasks is None:
            message = "instances live inside open() only"
            raise RuntimeError(message)
        return self._tasks

    async def start(self, instances: Iterable[Live[Any]]) -> None:
        """Start some, all at once; return once each was tried. ``up`` says how that went."""
        tasks = self._group
        async with anyio.create_task_group() as first:
            for live in instances:
                first.start_soon(tasks.start, self._keep_up, live)

    async def begin(self, instances: Iterable[Live[Any]], patience: float) -> None:
        """Start some, as :meth:`start`, but return after so many seconds; the rest goes on."""
        over = anyio.Event()

        async def start() -> None:
            await self.start(instances)
            over.set()

        self._group.start_soon(start)
        with anyio.move_on_after(patience):
            await over.wait()

    def end(self, live: Live[Any], then: Callable[[], Awaitable[None]]) -> None:
        """Close one once the calls that are under way have ended; return at once.

        :param then: is awaited afterwards.
        """

        async def close() -> None:
            await live.busy.idle()
            await self.stop(live)
            await then()

        self._group.start_soon(close)

    async def stop(self, live: Live[Any]) -> None:
        """Close one without waiting for what is under way; return once it is closed.

        One that takes its time is not waited for longer than its timeout.
        """
        if id(live) not in self._running:
            await live.context.aclose()
            return
        scope, ended = self._running[id(live)]
        scope.cancel()
        with anyio.move_on_after(live.settings.timeout):
            await ended.wait()

    async def check(self, live: Live[Any]) -> str | None:
        """Ask the provider how it is; give what is wrong, in words."""
        try:
            with Contained():
                async with asyncio.timeout(live.settings.timeout):
                    await live.plugin.check()
        except Exception as error:  # noqa: BLE001 - a plugin's call
            return str(live.meaning(error))
        return None

    async def _keep_up(self, live: Live[Any], *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.CancelScope() as scope:
            ended = anyio.Event()
            self._running[id(live)] = scope, ended
            try:
                await self._revive(live, task_status)
            finally:
                if not live.tried:  # it is stopped before it was
                    task_status.started()
                with anyio.CancelScope(shield=True):
                    await live.context.aclose()
                del self._running[id(live)]
                ended.set()

    async def _revive(self, live: Live[Any], task_status: anyio.abc.TaskStatus[None]) -> None:
        failures = 0
        while True:
            entered = anyio.Event()
            async with anyio.create_task_group() as tasks:
                # The plugin's lifespan has a task to itself: it may open task groups in it.
                tasks.start_soon(self._hold, live, entered)
                with anyio.move_on_after(live.settings.timeout):
                    await entered.wait()
                if not entered.is_set():
                    live.error = f"did not start within {live.settings.timeout:g} s"
                    self._log.error("instance is down", instance=live.label, error=live.error)
                    tasks.cancel_scope.cancel()
                elif live.up:
                    failures = 0
                if not live.tried:
                    live.tried = True
                    task_status.started()
            await anyio.sleep(_REVIVAL.delay(failures, random.random()))
            failures += 1

    async def _hold(self, live: Live[Any], entered: anyio.Event) -> None:
        """Keep one instance inside its lifespan, and probe it now and then."""
        try:
            with Contained():
                async with live.plugin.lifespan():
                    live.up, live.error = True, None
                    entered.set()
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._inside, live)
                        await self._probe(live)
        except Exception as error:  # noqa: BLE001 - a plugin's call
            live.error = str(live.meaning(error))
            self._log.error("instance is down", instance=live.label, error=live.error)
        finally:
            live.up = False
            entered.set()

    async def _probe(self, live: Live[Any]) -> None:
        """Ask the provider how it is. A bad answer is shown, and stops nothing: sends tell more."""
        pause = _FIRST_PROBE
        while True:
            await anyio.sleep(pause)
            pause = _PROBE
            trouble = await self.check(live)
            if trouble is not None and trouble != live.error:
                self._log.warning("check failed", instance=live.label, error=trouble)
            live.error = trouble
