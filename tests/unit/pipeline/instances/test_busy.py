"""Counting what is under way."""

import anyio
import pytest

from router.pipeline.instances.busy import Busy


async def test_nothing_under_way_is_idle() -> None:
    with anyio.fail_after(20):
        await Busy().idle()


async def test_idle_comes_when_the_last_has_ended() -> None:
    busy, ended = Busy(), []

    async def thing(name: str, until: anyio.Event) -> None:
        with busy.one():
            await until.wait()
        ended.append(name)

    first, second = anyio.Event(), anyio.Event()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(thing, "first", first)
            tasks.start_soon(thing, "second", second)
            await anyio.wait_all_tasks_blocked()

            async def idle() -> None:
                await busy.idle()
                ended.append("idle")

            tasks.start_soon(idle)
            tasks.start_soon(idle)
            second.set()
            await anyio.wait_all_tasks_blocked()
            assert ended == ["second"]
            first.set()

    assert ended[1] == "first"
    assert ended[2:] == ["idle", "idle"]


async def test_what_breaks_is_no_longer_under_way() -> None:
    busy = Busy()

    with pytest.raises(ZeroDivisionError), busy.one():
        _ = 1 / 0

    with anyio.fail_after(20):
        await busy.idle()
