"""Calls that are under way, and are called off."""

import anyio
import pytest

from router.pipeline.flights import CalledOff, Flights


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
