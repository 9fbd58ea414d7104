"""What work gives way to, how far, and for how long."""

from time import monotonic

import anyio
import pytest

from router.pipeline.intake.rush import CROWD, LONGEST, LULL, MOMENT, Rush

_MOST = 64


class _Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _crowd(rush: Rush, number: int = CROWD) -> None:
    for _ in range(number):
        rush.knock()


async def _given(rush: Rush) -> int:
    with anyio.fail_after(20):
        return await rush.give_way(_MOST)


@pytest.mark.parametrize(
    ("webhooks", "apart"),
    [(0, 0.0), (1, 0.0), (CROWD - 1, 0.0), (1000, MOMENT), (1000, MOMENT / (CROWD - 2))],
)
async def test_nothing_gives_way_to_webhooks_that_come_as_they_always_do(
    webhooks: int, apart: float
) -> None:
    time = _Time()
    rush = Rush(time)
    for _ in range(webhooks):
        rush.knock()
        time.now += apart

    assert await _given(rush) == _MOST


async def test_work_waits_while_they_crowd_in_and_then_takes_little() -> None:
    rush = Rush()
    _crowd(rush)
    taken: list[int] = []

    async def work() -> None:
        taken.append(await rush.give_way(_MOST))

    began = monotonic()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            while not taken and monotonic() < began + LONGEST / 2:
                await anyio.sleep(MOMENT + 0.002)
                _crowd(rush)

    assert 0 < taken[0] < _MOST


async def test_the_rush_is_over_when_no_more_crowd_in() -> None:
    rush = Rush()
    _crowd(rush)

    assert await _given(rush) == _MOST


async def test_who_takes_less_than_that_anyway_takes_no_more() -> None:
    time = _Time()
    rush = Rush(time)
    _crowd(rush)
    time.now += LULL / 2

    async def meanwhile() -> None:
        await anyio.sleep(0.01)
        time.now += MOMENT + 0.001
        _crowd(rush)
        time.now += LULL - 0.001

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(meanwhile)
            assert await rush.give_way(3) == 3


async def test_work_no_longer_gives_way_to_a_rush_that_does_not_end() -> None:
    time = _Time()
    rush = Rush(time)
    _crowd(rush)
    while time.now < 100.0 + LONGEST:
        time.now += LULL / 2
        _crowd(rush)

    assert await _given(rush) == _MOST

    time.now += 10 * LULL
    _crowd(rush)
    time.now += LULL
    assert await _given(rush) == _MOST


async def test_after_a_lull_it_is_another_rush_to_which_work_gives_way() -> None:
    time = _Time()
    rush = Rush(time)
    _crowd(rush)
    time.now += 2 * LONGEST
    _crowd(rush)

    with anyio.move_on_after(0.5) as waiting:
        await rush.give_way(_MOST)

    assert waiting.cancelled_caught  # the clock stands still, and so does the rush
