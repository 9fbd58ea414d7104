"""Reads that somebody stops waiting for."""

import asyncio
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import sqlalchemy as sa

from tests.integration.engine.harness import DATABASES, opened


@pytest.mark.parametrize("name", list(DATABASES))
async def test_reads_that_are_cancelled_leave_nothing_behind(name: str, tmp_path: Path) -> None:
    async with opened(name, tmp_path) as engine:
        await engine.store.read(lambda it: it.execute(sa.text("SELECT 1")).scalar_one())
        before = asyncio.all_tasks()
        for pause in range(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(engine.store.read, lambda it: it.execute(sa.text("SELECT 1")))
                await anyio.sleep(pause / 10_000)
                tasks.cancel_scope.cancel()
        with anyio.fail_after(30):
            await engine.store.close()

        assert asyncio.all_tasks() - before == set()


@pytest.mark.parametrize("name", list(DATABASES))
async def test_read_that_fails_after_nobody_waits_is_no_news(name: str, tmp_path: Path) -> None:
    def fail(_connection: sa.Connection) -> None:
        raise ValueError("nobody hears this")

    async with opened(name, tmp_path) as engine:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.store.read, fail)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

        assert await engine.store.read(lambda it: it.execute(sa.text("SELECT 2")).scalar_one()) == 2
