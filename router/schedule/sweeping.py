"""Sweeping: files that nobody has sent for longer than ``[media] keep`` are removed.

Those of somebody who was erased go at once, however long files are kept.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio

from router.errors import StorageUnavailable
from router.pipeline.media.shelf import Shelf
from router.plugin.context import Log
from router.schedule.duty import Duty
from router.settings.model import Settings
from router.storage.objects import Objects
from router.storage.store import Store

#: Seconds between two sweeps.
_PAUSE: Final = 3600.0
#: Files of one batch; between two of them others have their turn at the database.
_BATCH: Final = 200
#: Files that cannot be removed, after which a sweep is given up: it is the place that is away.
_PATIENCE: Final = 10


class Sweeper:
    """Removes files that are kept no longer, until cancelled."""

    def __init__(
        self,
        store: Store,
        settings: Callable[[], Settings],
        shelf: Shelf,
        log: Log,
    ) -> None:
        self.duty = Duty("the sweeping of files", log)
        self._store = store
        self._settings = settings
        self._shelf = shelf
        self._log = log
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Have the files removed soon that were let go; waits for nothing."""
        self._woken.set()

    async def run(self) -> None:
        due = anyio.current_time() + _PAUSE
        while True:
            with anyio.CancelScope(deadline=due):
                await self._woken.wait()
            if self._woken.is_set():
                self._woken = anyio.Event()
                await self.duty.turn(self._remove_let_go)
            if anyio.current_time() >= due:
                await self.duty.turn(self.sweep)
                due = anyio.current_time() + _PAUSE

    async def _remove_let_go(self) -> None:
        """Remove the files that were let go.

        Beside another node that is just at it, too: it may have looked before. A file that is not
        here may be in another node's folder: left to the hourly sweep.
        """
        self._tell(
            await remove_unused(self._store, self._shelf.objects, None, self._log, anywhere=False)
        )

    async def sweep(self) -> int:
        """Sweep once, unless another node is just at it; give how many files were removed."""
        keep, removed = self._settings().media.keep, 0
        before = None if keep is None else self._store.ages.at_least() - timedelta(seconds=keep)
        try:
            async with self._store.alone("media") as mine:
                if mine:
                    removed = await remove_unused(
                        self._store, self._shelf.objects, before, self._log
                    )
        except StorageUnavailable as error:
            self._log.warning("files not swept", error=str(error))
        self._tell(removed)
        return removed

    def _tell(self, removed: int) -> None:
        if removed:
            self._log.info("files swept", removed=removed)


async def remove_unused(
    store: Store, objects: Objects, before: datetime | None, log: Log, *, anywhere: bool = True
) -> int:
    """Remove files that were let go, or last used before a moment; give how many.

    A file's row goes after its bytes: what cannot be removed, or is interrupted by a crash, is
    tried again by the next sweep.

    :param before: ``None``: only those that were let go.
    :param anywhere: ``False``: a file that is not here may be elsewhere, and its row is left.
    """
    # Here, because it brings SQLAlchemy.
    from router.storage.media import forget, is_unused, unused

    last, removed, failed = None, 0, 0
    try:
        while found := await store.read(
            partial(unused, before=before, behind_it=last, limit=_BATCH)
        ):
            for kept in found:
                # Looked at once more: it may have come again since.
                if not await store.read(partial(is_unused, kept=kept)):
                    continue
                try:
                    there = await objects.remove(kept.tenant, kept.digest)
                except StorageUnavailable as error:
                    log.warning("file not removed", digest=kept.digest, error=str(error))
                    failed += 1
                    if failed >= _PATIENCE:
                        return removed
                    continue
                if not there and not anywhere:
                    continue

                def forgotten(tx: Any, kept: Any = kept) -> bool:
                    return forget(tx.connection, kept)

                removed += await store.write(forgotten)
            last = found[-1]
    except StorageUnavailable as error:
        log.warning("files not swept", error=str(error))
    return removed
