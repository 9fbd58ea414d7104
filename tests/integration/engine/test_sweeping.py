"""Files that are kept no longer are removed; those that came again are not."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from router.domain.content import content_type_of
from router.errors import NotFound
from router.pipeline.media.shelf import Shelf
from router.plugin.testing import RecordingLog
from router.schedule.sweeping import Sweeper, remove_unused
from router.storage.media import release, use
from router.storage.store import Tx
from router.storage.tables import media
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running

TABLES = '\n[media]\nstore = "files"\nkeep = "90d"\n'


async def _keep(pipeline: Pipeline, shelf: Shelf, data: bytes) -> str:
    digest = await shelf.objects.put("main", data)
    await pipeline.engine.store.write(
        lambda tx: use(
            tx.connection,
            "main",
            digest,
            content_type=content_type_of(data),
            size=len(data),
            now=tx.now,
        )
    )
    return digest


def _release(tx: Tx, digest: str) -> bool:
    return release(tx.connection, "main", digest)


@pytest.mark.parametrize("name", list(DATABASES))
async def test_only_what_was_last_sent_long_ago_is_removed(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, tables=TABLES) as pipeline:
        shelf, clock = Shelf(lambda: pipeline.configuration), pipeline.engine.clock
        settings = pipeline.configuration.settings
        sweeper = Sweeper(pipeline.engine.store, lambda: settings, shelf, RecordingLog())
        old = await _keep(pipeline, shelf, b"vieja")
        again = await _keep(pipeline, shelf, b"otra vez")
        clock.advance(timedelta(days=60))
        await _keep(pipeline, shelf, b"otra vez")
        assert await sweeper.sweep() == 0

        clock.advance(timedelta(days=31))

        assert await sweeper.sweep() == 1
        with pytest.raises(NotFound):
            await shelf.objects.get("main", old)
        assert await shelf.objects.get("main", again) == b"otra vez"
        assert [row.digest for row in await pipeline.engine.rows(media)] == [again]


@pytest.mark.parametrize("name", list(DATABASES))
async def test_a_clock_that_is_set_ahead_removes_nothing(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, tables=TABLES) as pipeline:
        shelf, clock = Shelf(lambda: pipeline.configuration), pipeline.engine.clock
        settings = pipeline.configuration.settings
        sweeper = Sweeper(pipeline.engine.store, lambda: settings, shelf, RecordingLog())
        kept = await _keep(pipeline, shelf, b"nueva")
        assert await sweeper.sweep() == 0

        clock.set(clock.now() + timedelta(days=365))

        assert await sweeper.sweep() == 0
        assert await shelf.objects.get("main", kept) == b"nueva"
        clock.advance(timedelta(days=91))
        assert await sweeper.sweep() == 1


@pytest.mark.parametrize("name", list(DATABASES))
async def test_a_file_that_cannot_be_removed_keeps_no_other_and_is_tried_again(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path, tables=TABLES) as pipeline:
        shelf, clock = Shelf(lambda: pipeline.configuration), pipeline.engine.clock
        settings = pipeline.configuration.settings
        log = RecordingLog()
        sweeper = Sweeper(pipeline.engine.store, lambda: settings, shelf, log)
        stuck = await _keep(pipeline, shelf, b"en uso")
        clock.advance(timedelta(days=1))
        await _keep(pipeline, shelf, b"vieja")
        file = Path(shelf.objects.place) / "main" / stuck[:2] / stuck
        file.unlink()
        (file / "in the way").mkdir(parents=True)
        clock.advance(timedelta(days=91))

        assert await sweeper.sweep() == 1

        assert [row.digest for row in await pipeline.engine.rows(media)] == [stuck]
        assert [it.event for it in log.entries if it.level == "warning"] == ["file not removed"]
        (file / "in the way").rmdir()
        file.rmdir()
        assert await sweeper.sweep() == 1
        assert await pipeline.engine.rows(media) == []


@pytest.mark.parametrize("name", list(DATABASES))
async def test_who_may_look_elsewhere_forgets_only_what_was_here(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, tables=TABLES) as pipeline:
        shelf, store = Shelf(lambda: pipeline.configuration), pipeline.engine.store
        here = await _keep(pipeline, shelf, b"una")
        elsewhere = await _keep(pipeline, shelf, b"otra")
        await shelf.objects.remove("main", elsewhere)
        for digest in (here, elsewhere):
            await store.write(partial(_release, digest=digest))

        found = [
            await remove_unused(store, shelf.objects, None, RecordingLog(), anywhere=anywhere)
            for anywhere in (False, True)
        ]

        assert found == [1, 1]
        assert await pipeline.engine.rows(media) == []


@pytest.mark.parametrize("name", list(DATABASES))
async def test_a_sweeper_that_is_woken_removes_what_was_let_go_and_nothing_else(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path, tables=TABLES) as pipeline:
        shelf, clock = Shelf(lambda: pipeline.configuration), pipeline.engine.clock
        settings, store = pipeline.configuration.settings, pipeline.engine.store
        sweeper = Sweeper(store, lambda: settings, shelf, RecordingLog())
        old = await _keep(pipeline, shelf, b"vieja")
        clock.advance(timedelta(days=91))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sweeper.run)
            for data in (b"una", b"otra"):
                gone = await _keep(pipeline, shelf, data)
                await store.write(partial(_release, digest=gone))
                sweeper.wake()
                with anyio.fail_after(60):
                    while len(await pipeline.engine.rows(media)) > 1:  # noqa: ASYNC110
                        await anyio.sleep(0.01)
                with pytest.raises(NotFound):
                    await shelf.objects.get("main", gone)
            tasks.cancel_scope.cancel()

        assert await shelf.objects.get("main", old) == b"vieja"


@pytest.mark.parametrize("name", list(DATABASES))
async def test_what_an_erasure_let_go_is_removed_however_long_files_are_kept(
    name: str, tmp_path: Path
) -> None:
    tables = TABLES.replace("90d", "never")
    async with running(name, tmp_path, tables=tables) as pipeline:
        shelf, clock = Shelf(lambda: pipeline.configuration), pipeline.engine.clock
        settings = pipeline.configuration.settings
        store = pipeline.engine.store
        sweeper = Sweeper(store, lambda: settings, shelf, RecordingLog())
        gone = await _keep(pipeline, shelf, b"de quien fue borrado")
        sent_again = await _keep(pipeline, shelf, b"de otra persona")
        kept = await _keep(pipeline, shelf, b"vieja")
        assert await store.write(lambda tx: release(tx.connection, "main", gone))
        assert await store.write(lambda tx: release(tx.connection, "main", sent_again))
        assert not await store.write(lambda tx: release(tx.connection, "clinica", gone))
        await _keep(pipeline, shelf, b"de otra persona")
        clock.advance(timedelta(days=4000))

        assert await sweeper.sweep() == 1

        with pytest.raises(NotFound):
            await shelf.objects.get("main", gone)
        left = {row.digest for row in await pipeline.engine.rows(media)}
        assert left == {sent_again, kept}
