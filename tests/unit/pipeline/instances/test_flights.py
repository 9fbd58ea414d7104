"""Calls that are under way, and are called off; and those that their plugins cancel."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio
import pytest

from router.pipeline.instances.flights import CalledOff, Contained, Flights, SelfCancelled


async def test_what_is_under_way_is_called_off_and_what_comes_later_is_not() -> None:
    flights, ended = Flights(), []

    async def call(name: str) -> None:
        try:
            with flights.one():
                await anyio.sleep_forever()
        except CalledOff as error:
            ended.append((name, str(error)))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "uno")
            tasks.start_soon(call, "dos")
            await anyio.wait_all_tasks_blocked()
            assert flights.call_off() == 2
    assert sorted(name for name, _ in ended) == ["dos", "uno"]
    assert "taken for dead" in ended[0][1]

    with flights.one():
        await anyio.lowlevel.checkpoint()
    assert flights.call_off() == 0


async def test_a_call_that_is_cancelled_by_somebody_else_is_not_called_off() -> None:
    flights = Flights()
    with anyio.CancelScope() as scope:
        with flights.one():
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_call_that_fails_says_why_itself() -> None:
    flights = Flights()
    with pytest.raises(ValueError, match="broken"), flights.one():
        raise ValueError("broken")
    assert flights.call_off() == 0


@pytest.mark.parametrize("call", [Contained, Flights().one], ids=["contained", "flight"])
async def test_a_cancellation_that_nobody_asked_for_is_an_outcome(
    call: Callable[[], AbstractContextManager[None]],
) -> None:
    login = asyncio.ensure_future(anyio.sleep_forever())
    ended = set()

    async def send(seconds: float | None) -> None:
        try:
            with call():
                async with asyncio.timeout(seconds):
                    await login
        except (TimeoutError, SelfCancelled) as error:
            ended.add(type(error))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, None)
            await anyio.wait_all_tasks_blocked()
            await send(0.01)

    assert ended == {TimeoutError, SelfCancelled}


@pytest.mark.parametrize("call", [Contained, Flights().one], ids=["contained", "flight"])
async def test_whoever_cancels_a_call_ends_its_task_whatever_is_open_in_it(
    call: Callable[[], AbstractContextManager[None]],
) -> None:
    async def wait() -> None:
        with call():
            async with asyncio.timeout(60), anyio.create_task_group() as inner:
                inner.start_soon(anyio.sleep_forever)
                with anyio.move_on_after(60):
                    await anyio.sleep_forever()

    with anyio.fail_after(20):
        task = asyncio.create_task(wait())
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        await asyncio.wait([task])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    assert task.cancelled()
