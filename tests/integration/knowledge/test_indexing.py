"""Articles on a disk that does not answer: they are waited for, but not for long, and not alone."""

import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PosixPath
from typing import Any

import anyio
import pytest

from router.clock import SystemClock
from router.knowledge.index import digests
from router.knowledge.indexing import Indexer
from router.plugin.registry import Registry
from router.plugin.testing import FakeClock, RecordingLog
from router.settings.loading import load_settings
from router.settings.model import Settings
from router.storage.sqlite.store import SQLiteStore
from tests.blocking import Library, blocking
from tests.databases import empty_sqlite

CONFIG = """
[knowledge]
folders = ["main"]

[tenants.clinica.knowledge]
folders = ["clinica"]
"""


class Stalled(PosixPath):
    """A folder on a disk that does not answer."""

    blocked: Library

    def is_dir(self) -> bool:
        self.blocked.call()
        return super().is_dir()


@dataclass
class World:
    """Two tenants with an article each, and what reads them."""

    store: SQLiteStore
    settings: Settings
    log: RecordingLog
    indexer: Any = None

    def change(self, folder: Path) -> None:
        """Let the articles of ``main`` be in another folder."""
        tenants = dict(self.settings.tenants)
        tenants["main"] = replace(tenants["main"], knowledge_folders=(folder,))
        self.settings = replace(self.settings, tenants=tenants)

    @asynccontextmanager
    async def running(self, patience: float) -> AsyncIterator[Indexer]:
        self.indexer = Indexer(
            self.store, lambda: self.settings, FakeClock(), self.log, patience=patience
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.indexer.run)
            with anyio.fail_after(25):
                yield self.indexer
            tasks.cancel_scope.cancel()

    async def known(self, tenant: str) -> list[str]:
        return sorted(await self.store.read(lambda it: digests(it, tenant)))

    async def until_known(self, tenant: str, *articles: str) -> None:
        while await self.known(tenant) != list(articles):  # noqa: ASYNC110 - no event for it
            await anyio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    for name in ("main", "clinica"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.md").write_text("# Horario\n\nDe 8 a 18.\n")
    path = tmp_path / "router.toml"
    path.write_text(CONFIG)
    (tmp_path / "rules.toml").write_text("default.ticket = {}\n")
    empty_sqlite(tmp_path / "router.db")
    settings = load_settings(path, Registry(), run=True, environ={})
    store = await SQLiteStore.open(tmp_path / "router.db", SystemClock())
    try:
        yield World(store, settings, RecordingLog())
    finally:
        await store.close()


@pytest.fixture
def library() -> Iterator[Library]:
    with blocking() as library:
        yield library


@pytest.fixture
def stalled(tmp_path: Path, library: Library) -> Path:
    folder = Stalled(tmp_path / "main")
    folder.blocked = library
    return folder


class Failed(PosixPath):
    """A folder on a disk that answers with an error, as a network drive that was cut off."""

    def is_dir(self) -> bool:
        raise OSError(errno.EIO, "Input/output error")


async def test_articles_on_a_disk_that_fails_are_told_and_stay_known(
    world: World, tmp_path: Path
) -> None:
    async with world.running(patience=3600) as indexer:
        assert await indexer.wait("main")
        before = world.settings
        world.change(Failed(tmp_path / "gone"))
        indexer.swapped(before)

        assert await indexer.wait("main")
        assert indexer.doubts == ["articles of main have mistakes: `router check` names them"]
    assert await world.known("main") == ["main.md"]
    assert world.log.entries[-1].values == {
        "tenant": "main",
        "problem": f"{tmp_path}/gone: it cannot be read: Input/output error",
    }


class Odd(PosixPath):
    """A folder that nobody thought of."""

    def is_dir(self) -> bool:
        raise RuntimeError("odd")


async def test_what_nobody_thought_of_in_one_tenant_s_articles_costs_no_other_theirs(
    world: World, tmp_path: Path
) -> None:
    world.change(Odd(tmp_path / "odd"))
    async with world.running(patience=3600) as indexer:
        assert not await indexer.wait("main")
        assert await indexer.wait("clinica")
        told = ["articles of main are not brought into the index: the log says why"]
        assert indexer.doubts == told
        (entry,) = world.log.entries
        assert (entry.values["tenant"], entry.values["error"]) == ("main", "RuntimeError: odd")

        before = world.settings
        world.change(tmp_path / "main")
        indexer.swapped(before)

        assert await indexer.wait("main")
        assert indexer.doubts == []


async def test_whoever_asks_waits_until_the_articles_are_read(world: World) -> None:
    async with world.running(patience=3600) as indexer:
        assert await indexer.wait("main")
        assert await indexer.wait("clinica")
        assert indexer.doubts == []

    assert await world.known("main") == ["main.md"]


async def test_articles_that_cannot_be_read_are_not_waited_for_and_that_is_told(
    world: World, stalled: Path, library: Library
) -> None:
    world.change(stalled)
    async with world.running(patience=0.2) as indexer:
        assert not await indexer.wait("main")
        assert await indexer.wait("clinica")  # whose disk is well
        assert library.came_back == 0
        told = [f"articles of main are still being read since {FakeClock().now():%F %T} UTC"]
        assert indexer.doubts == told
        assert [each.event for each in world.log.entries] == told

        library.let_go()
        while not await indexer.wait("main"):  # noqa: ASYNC110 - there is no event for it
            await anyio.sleep(0.01)
        assert indexer.doubts == []


async def test_another_folder_is_read_while_the_one_of_before_does_not_answer(
    world: World, tmp_path: Path, stalled: Path, library: Library
) -> None:
    world.change(stalled)
    async with world.running(patience=3600) as indexer:
        await anyio.sleep(0.1)
        before = world.settings
        world.change(tmp_path / "clinica")
        indexer.swapped(before)

        assert await indexer.wait("main")
        assert library.came_back == 0
    assert await world.known("main") == ["clinica.md"]


async def test_an_article_is_known_after_a_reload_while_another_tenant_s_do_not_answer(
    world: World, tmp_path: Path, stalled: Path, library: Library
) -> None:
    world.change(stalled)
    async with world.running(patience=3600) as indexer:
        assert await indexer.wait("clinica")
        (tmp_path / "clinica" / "new.md").write_text("# Nuevo\n\nDesde hoy.\n")
        indexer.swapped(world.settings)

        await world.until_known("clinica", "clinica.md", "new.md")
        assert library.came_back == 0
    assert library.called == 1


async def test_however_many_tenants_do_not_answer_the_others_are_read(
    world: World, tmp_path: Path, library: Library
) -> None:
    main, clinica = (world.settings.tenants[name] for name in ("main", "clinica"))
    tenants = {}
    for name in map(str, range(9)):
        folder = Stalled(tmp_path / name)
        folder.mkdir()
        folder.blocked = library
        tenants[name] = replace(main, name=name, knowledge_folders=(folder,))
    world.settings = replace(world.settings, tenants={**tenants, "clinica": clinica})
    async with world.running(patience=0.1):
        await world.until_known("clinica", "clinica.md")
        assert library.came_back == 0


async def test_readings_of_a_folder_that_does_not_answer_do_not_pile_up(
    world: World, tmp_path: Path, stalled: Path, library: Library
) -> None:
    async with world.running(patience=3600) as indexer:
        for folder in (stalled, tmp_path / "clinica") * 3:
            before = world.settings
            world.change(folder)
            indexer.swapped(before)
            if folder is stalled:
                await anyio.sleep(0.05)
            else:
                assert await indexer.wait("main")
        assert library.called == 1
