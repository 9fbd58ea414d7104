"""The articles' way into the index: at the start, and again after each reload."""

from collections.abc import Callable
from typing import Final

import anyio

from router.errors import StorageUnavailable
from router.plugin.context import Log
from router.settings.model import Settings, TenantSettings
from router.storage.store import Store

#: Seconds to wait while the database is away.
_PAUSE: Final = 1.0


class Indexer:
    """Brings the articles of every tenant into the index.

    :param settings: gives the settings in force.
    :ivar known: set once the articles are in the index; models are asked from then on.
    :ivar doubts: what is doubtful about the articles, in words for whoever runs the router.
    """

    def __init__(self, store: Store, settings: Callable[[], Settings], log: Log) -> None:
        self._store = store
        self._settings = settings
        self._log = log
        self.known = anyio.Event()
        self.doubts: tuple[str, ...] = ()
        self._unread = anyio.Event()

    def swapped(self, before: Settings) -> None:
        """Read them again, because other settings are in force; waits for nothing."""
        if _articles(before) != _articles(self._settings()) and self.known.is_set():
            # Questions wait until the articles are those that the configuration names.
            self.known = anyio.Event()
        self._unread.set()

    async def run(self) -> None:
        while True:
            self._unread = anyio.Event()
            doubts: list[str] = []
            for tenant in self._settings().tenants.values():
                # Of one that has no folders nothing is looked up, whatever the index holds.
                if tenant.knowledge_folders:
                    doubts += await self._index(tenant)
            self.doubts = tuple(doubts)
            if not self._unread.is_set():  # else other folders may be meant by now
                self.known.set()
            await self._unread.wait()

    async def _index(self, tenant: TenantSettings) -> list[str]:
        """Bring one tenant's articles into the index; give what is doubtful about them."""
        from router.knowledge.index import refresh  # here, because it brings SQLAlchemy

        folders, language = tenant.knowledge_folders, tenant.language
        synced = None
        while synced is None:
            try:
                synced = await refresh(self._store, tenant.name, folders, language=language)
            except StorageUnavailable as error:
                self._log.error("articles not read", error=str(error))
                await anyio.sleep(_PAUSE)
        for problem in synced.problems:
            self._log.error("article not read", tenant=tenant.name, problem=str(problem))
        if not synced.problems:
            return []
        # What they say is not known; everything else is, so we are ready all the same.
        return [f"articles of {tenant.name} have mistakes: `router check` names them"]


def _articles(settings: Settings) -> dict[str, object]:
    """Give what decides which articles are known, by tenant."""
    tenants = settings.tenants.values()
    return {each.name: (each.knowledge_folders, each.language) for each in tenants}
