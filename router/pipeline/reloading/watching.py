"""Watching the files of a configuration: a change asks for a reload.

The operating system says when something happens in their folders; whether one of the files has
changed is looked up then. A look now and then finds what it does not tell, as on a network drive.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

import anyio

from router.errors import ActRefused
from router.pipeline.reloading.reloading import Reloader
from router.plugin.context import Log
from router.settings.inputs import Files
from router.settings.model import Settings
from router.threads import Threads

#: Milliseconds: a look without being told; how long writing must rest; how long it may go on.
_LOOK = 5000
_REST = 100
_MOST = 1000


class Watcher:
    """Reloads when a file changes, until cancelled, while ``[router] watch`` says so.

    :param settings: gives the settings in force.
    """

    def __init__(
        self, files: Files, reloader: Reloader, settings: Callable[[], Settings], log: Log
    ) -> None:
        self._files = files
        self._reloader = reloader
        self._settings = settings
        self._log = log
        self._threads = Threads(1)

    async def run(self) -> None:
        while True:
            if not self._settings().router.watch:
                await self._reloader.ended.wait()
                continue
            folders = await self._threads.run(self._files.folders)
            await self._watch(folders)

    async def _watch(self, folders: frozenset[Path]) -> None:
        """Look whenever something happens there, until other folders matter."""
        async with anyio.create_task_group() as tasks:
            stop = anyio.Event()
            tasks.start_soon(_set_at_the_end, stop)
            try:
                async with aclosing(happenings(folders, stop)) as told:
                    async for _ in told:
                        await self._look()
                        if not await self._threads.run(partial(self._same, folders)):
                            break
            except OSError as error:
                # More watchers or folders than the system allows, say.
                self._log.warning("files are looked at now and then only", error=str(error))
                await anyio.sleep(_LOOK / 1000)
            tasks.cancel_scope.cancel()

    def _same(self, folders: frozenset[Path]) -> bool:
        return self._settings().router.watch and self._files.folders() == folders

    async def _look(self) -> None:
        try:
            await self._reloader.reload_if(self._files.stale, "file")
        except ActRefused:
            return  # it stops


async def happenings(folders: frozenset[Path], stop: anyio.Event) -> AsyncGenerator[None]:
    """Say when to look: at once, for something may have happened before, then whenever it does.

    :raises OSError: if the system does not let us watch.
    """
    # Not its coroutine, which waits for one of the threads that everybody shares.
    from watchfiles import watch  # here, because a start does not need it
    from watchfiles._rust_notify import WatchfilesRustInternalError  # where its manual has it

    threads = Threads(1)
    changes = watch(
        *folders,
        watch_filter=None,
        debounce=_MOST,
        step=_REST,
        stop_event=stop,
        rust_timeout=_LOOK,
        yield_on_timeout=True,
        recursive=False,
        ignore_permission_denied=True,
    )
    yield
    try:
        while True:
            # Not abandoned: a thread inside of it must not outlive the interpreter.
            with anyio.CancelScope(shield=True):
                told = await threads.run(partial(next, changes, None))
            if told is None:
                return
            yield
    except WatchfilesRustInternalError as error:
        raise OSError(str(error)) from error


async def _set_at_the_end(stop: anyio.Event) -> None:
    """End the wait of the thread that watches; by itself it would go on until its next look."""
    try:
        await anyio.sleep_forever()
    finally:
        stop.set()
