"""The articles' way into the index: at the start, and again after each reload."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import anyio

from router.clock import Clock
from router.errors import StorageUnavailable
from router.plugin.context import Log
from router.settings.model import Settings, TenantSettings
from router.storage.store import Store
from router.threads import Threads

if TYPE_CHECKING:
    from datetime import datetime

#: Seconds to wait while the database is away.
_PAUSE: Final = 1.0
#: Seconds that questions wait for articles. Their folder may be on a disk that does not answer.
PATIENCE: Final = 10.0
#: Tenants whose articles are read at once, those that do not answer included.
_AT_ONCE: Final = 4


class Indexer:
    """Brings the articles of every tenant into the index.

    :param settings: gives the settings in force.
    :param patience: seconds that questions wait for articles.
    """

    def __init__(
        self,
        store: Store,
        settings: Callable[[], Settings],
        clock: Clock,
        log: Log,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._log = log
        self._patience = patience
        self._threads = Threads(_AT_ONCE)
        #: By tenant whose articles the index lacks: set once nobody is to wait for them any more.
        self._missing = {name: anyio.Event() for name in _articles(settings())}
        #: Since when articles are being read, by tenant, and whether that takes too long.
        self._reading: dict[str, datetime] = {}
        self._late = False
        self._mistaken: dict[str, str] = {}
        self._pass = anyio.CancelScope()
        self._again = anyio.Event()

    @property
    def doubts(self) -> list[str]:
        """What is doubtful about the articles, in words for whoever runs the router."""
        late = self._reading.items() if self._late else ()
        return [
            *self._mistaken.values(),
            *(
                f"articles of {name} are still being read since {since:%Y-%m-%d %H:%M:%S} UTC"
                for name, since in late
            ),
        ]

    async def wait(self, tenant: str) -> bool:
        """Wait until a tenant's articles are in the index, but not for long; say whether they are.

        Where they are not, the index has those of before, if there were any.
        """
        while (waited := self._missing.get(tenant)) is not None:
            if waited.is_set():
                return False
            await waited.wait()
        return True

    def swapped(self, before: Settings) -> None:
        """Read them again, because other settings are in force; waits for nothing."""
        old, new = _articles(before), _articles(self._settings())
        for name in old.keys() | new.keys():
            if old.get(name) == new.get(name):
                continue
            # Questions wait until the articles are those that the configuration names.
            if waited := self._missing.pop(name, None):
                waited.set()
            if name in new:
                self._missing[name] = anyio.Event()
        if old != new:
            self._pass.cancel()  # it may be reading, or waiting for, what is not meant any more
        self._again.set()

    async def run(self) -> None:
        while True:
            self._again = anyio.Event()
            with anyio.CancelScope() as self._pass:
                await self._read()
            await self._again.wait()

    async def _read(self) -> None:
        """Read the articles of every tenant, beside each other: one's folder may not answer."""
        # Of one that has no folders nothing is looked up, whatever the index holds.
        tenants = [it for it in self._settings().tenants.values() if it.knowledge_folders]
        self._late = False
        self._reading = {it.name: self._clock.now() for it in tenants}
        for gone in self._mistaken.keys() - self._reading.keys():
            del self._mistaken[gone]
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(self._wait_no_longer)
            async with anyio.create_task_group() as tasks:
                for tenant in tenants:
                    tasks.start_soon(self._index, tenant, self._missing.get(tenant.name))
            impatient.cancel_scope.cancel()

    async def _wait_no_longer(self) -> None:
        await anyio.sleep(self._patience)
        self._late = True
        for doubt in self.doubts:
            self._log.warning(doubt)
        for waited in self._missing.values():
            waited.set()

    async def _index(self, tenant: TenantSettings, waited: anyio.Event | None) -> None:
        """Bring one tenant's articles into the index, and note what is doubtful about them.

        :param waited: see ``_missing``, as this began.
        """
        from router.knowledge.index import refresh  # here, because it brings SQLAlchemy

        folders, language = tenant.knowledge_folders, tenant.language
        synced = None
        while synced is None:
            try:
                synced = await refresh(
                    self._store, tenant.name, folders, language=language, threads=self._threads
                )
            except StorageUnavailable as error:
                self._log.error("articles not read", error=str(error))
                await anyio.sleep(_PAUSE)
        for problem in synced.problems:
            self._log.error("article not read", tenant=tenant.name, problem=str(problem))
        self._mistaken.pop(tenant.name, None)
        if synced.problems:
            # What they say is not known; everything else is, so we are ready all the same.
            words = f"articles of {tenant.name} have mistakes: `router check` names them"
            self._mistaken[tenant.name] = words
        self._reading.pop(tenant.name, None)
        if waited is not None and self._missing.get(tenant.name) is waited:  # else others are meant
            del self._missing[tenant.name]
            waited.set()


def _articles(settings: Settings) -> dict[str, object]:
    """Give what decides which articles are known, by tenant that has any."""
    return {
        each.name: (each.knowledge_folders, each.language)
        for each in settings.tenants.values()
        if each.knowledge_folders
    }
