"""The articles' way into the index: at the start, and again after each reload."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from router.clock import Clock
from router.errors import StorageUnavailable, place_of
from router.plugin.context import Log
from router.settings.model import Settings, TenantSettings
from router.storage.store import Store
from router.threads import Threads

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

#: Seconds to wait while the database is away.
_PAUSE: Final = 1.0
#: Seconds that questions wait for articles. Their folder may be on a disk that does not answer.
PATIENCE: Final = 10.0
#: Tenants whose articles are read at once, without those that take longer than that.
_AT_ONCE: Final = 4


@dataclass(slots=True)
class _Turn:
    """One tenant's readings, one after the other: no other tenant's wait for them.

    :ivar again: set when its articles are to be read again.
    :ivar stop: ends the reading that is under way.
    :ivar since: when that began; ``None``: none is.
    :ivar late: it takes too long.
    :ivar mistaken: what the last one found wrong, in words.
    """

    again: anyio.Event = field(default_factory=anyio.Event)
    stop: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    since: "datetime | None" = None
    late: bool = False
    mistaken: str | None = None


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
        self._room = asyncio.Semaphore(_AT_ONCE)
        #: One for the same folders: while a reading of theirs hangs, none is begun beside it.
        self._threads: defaultdict[tuple[Path, ...], Threads] = defaultdict(lambda: Threads(1))
        #: By tenant whose articles the index lacks: set once nobody is to wait for them any more.
        self._missing = {name: anyio.Event() for name in _articles(settings())}
        self._turns: dict[str, _Turn] = {}
        self._swapped = anyio.Event()

    @property
    def doubts(self) -> list[str]:
        """What is doubtful about the articles, in words for whoever runs the router."""
        return [
            *(turn.mistaken for turn in self._turns.values() if turn.mistaken),
            *(_late(name, turn) for name, turn in self._turns.items() if turn.late),
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
            if turn := self._turns.get(name):
                turn.stop.cancel()  # it may be reading, or waiting for, what is not meant any more
        for turn in self._turns.values():
            turn.again.set()
        self._swapped.set()

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            while True:
                self._swapped = anyio.Event()
                for name in _articles(self._settings()).keys() - self._turns.keys():
                    self._turns[name] = _Turn()
                    tasks.start_soon(self._keep, name, self._turns[name])
                await self._swapped.wait()

    async def _keep(self, name: str, turn: _Turn) -> None:
        """Read one tenant's articles, and again each time, until it has none."""
        # Of one that has no folders nothing is looked up, whatever the index holds.
        while name in _articles(self._settings()):
            turn.again, turn.stop = anyio.Event(), anyio.CancelScope()
            with turn.stop:
                await self._read(self._settings().tenants[name], turn)
            turn.since, turn.late = None, False
            await turn.again.wait()
        del self._turns[name]

    async def _read(self, tenant: TenantSettings, turn: _Turn) -> None:
        turn.since = self._clock.now()
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(self._wait_no_longer, tenant.name, turn)
            await self._room.acquire()
            with ExitStack() as room:
                room.callback(self._room.release)
                impatient.start_soon(self._give_way, room)
                try:
                    await self._index(tenant, turn)
                except Exception as error:  # noqa: BLE001 - one tenant's turn fails alone
                    self._failed(tenant.name, turn, error)
            impatient.cancel_scope.cancel()

    async def _wait_no_longer(self, name: str, turn: _Turn) -> None:
        await anyio.sleep(self._patience)
        turn.late = True
        self._log.warning(_late(name, turn))
        if waited := self._missing.get(name):
            waited.set()

    async def _give_way(self, room: ExitStack) -> None:
        """Let others be read: this one may hang."""
        await anyio.sleep(self._patience)
        room.close()

    def _failed(self, name: str, turn: _Turn, error: Exception) -> None:
        """Tell of a mistake of ours; what the index has stays, and nobody waits for more."""
        turn.mistaken = f"articles of {name} are not brought into the index: the log says why"
        self._log.error(
            "articles not read",
            tenant=name,
            error=f"{type(error).__name__}: {error}",
            where=place_of(error),
        )
        if waited := self._missing.get(name):
            waited.set()

    async def _index(self, tenant: TenantSettings, turn: _Turn) -> None:
        """Bring one tenant's articles into the index, and note what is doubtful about them."""
        from router.knowledge.index import refresh  # here, because it brings SQLAlchemy

        folders, language = tenant.knowledge_folders, tenant.language
        threads, waited = self._threads[folders], self._missing.get(tenant.name)
        synced = None
        while synced is None:
            try:
                synced = await refresh(
                    self._store, tenant.name, folders, language=language, threads=threads
                )
            except StorageUnavailable as error:
                self._log.error("articles not read", error=str(error))
                await anyio.sleep(_PAUSE)
        for problem in synced.problems:
            self._log.error("article not read", tenant=tenant.name, problem=str(problem))
        # What they say is not known; everything else is, so we are ready all the same.
        words = f"articles of {tenant.name} have mistakes: `router check` names them"
        turn.mistaken = words if synced.problems else None
        if waited is not None and self._missing.get(tenant.name) is waited:  # else others are meant
            del self._missing[tenant.name]
            waited.set()


def _late(name: str, turn: _Turn) -> str:
    return f"articles of {name} are still being read since {turn.since:%Y-%m-%d %H:%M:%S} UTC"


def _articles(settings: Settings) -> dict[str, object]:
    """Give what decides which articles are known, by tenant that has any."""
    return {
        each.name: (each.knowledge_folders, each.language)
        for each in settings.tenants.values()
        if each.knowledge_folders
    }
