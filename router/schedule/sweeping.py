"""Sweeping: files that nobody has sent for longer than ``[media] keep`` are removed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio

from router.clock import Clock
from router.errors import StorageUnavailable
from router.pipeline.shelf import Shelf
from router.plugin.context import Log
from router.settings.model import Settings
from router.storage.store import Store

#: Seconds between two sweeps.
_PAUSE: Final = 3600.0
#: Files of one batch; between two of them others have their turn at the database.
_BATCH: Final = 200
#: Whatever was last used before this was let go; see :func:`router.storage.media.release`.
_RELEASED: Final = datetime(1970, 1, 2, tzinfo=UTC)


class Sweeper:
    """Removes files that are kept no longer, until cancelled."""

    def __init__(
        self,
        store: Store,
        settings: Callable[[], Settings],
        shelf: Shelf,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store = store
        self._settings = settings
        self._shelf = shelf
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        while True:
            await anyio.sleep(_PAUSE)
            await self.sweep()

    async def sweep(self) -> int:
        """Sweep once, unless another node is just at it; give how many files were removed.

        A file's row goes first: what a crash leaves behind then is bytes that nobody names, and
        never a name without bytes.
        """
        keep, removed = self._settings().media.keep, 0
        # Files that are kept for ever go, too, once they were those of somebody who was erased.
        before = _RELEASED if keep is None else self._clock.now() - timedelta(seconds=keep)
        try:
            async with self._store.alone("media") as mine:
                while mine and (batch := await self._batch(before)):
                    removed += batch
        except StorageUnavailable as error:
            self._log.warning("files not swept", error=str(error))
        if removed:
            self._log.info("files swept", removed=removed)
        return removed

    async def _batch(self, before: datetime) -> int:
        from router.storage.media import forget, unused  # here, because it brings SQLAlchemy

        found = await self._store.read(partial(unused, before=before, limit=_BATCH))
        for kept in found:

            def forgotten(tx: Any, kept: Any = kept) -> bool:
                return forget(tx.connection, kept, before)

            if await self._store.write(forgotten):
                await self._shelf.objects.remove(kept.tenant, kept.digest)
        return len(found)
