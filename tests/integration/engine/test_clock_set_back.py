"""The wall clock of a running router is set back: what waited for a moment does not wait longer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from router import plugin
from router.schedule.wall_clock import WallClock
from tests.integration.engine.harness import BEFORE_LOOKING, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

HOUR = timedelta(hours=1)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path) as pipeline:
        yield pipeline


@pytest.fixture
def wall_clock(pipeline: Pipeline) -> WallClock:
    """What watches the clock, by hand."""
    return WallClock(pipeline.engine.store, pipeline.engine.clock, pipeline.log)


def set_back(pipeline: Pipeline, step: timedelta = HOUR) -> None:
    clock = pipeline.engine.clock
    clock.set(clock.now() - step)


async def pass_a_minute(pipeline: Pipeline, wall_clock: WallClock) -> None:
    for _ in range(6):
        await wall_clock.look()
        await pipeline.pass_time(10)


async def test_a_turn_is_asked_about_within_a_minute(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    await pipeline.engine.accept(pipeline.engine.said("cuanto cuesta"))
    await pipeline.think()

    set_back(pipeline)
    await pass_a_minute(pipeline, wall_clock)

    assert pipeline.texts() == ["Cuesta 5."]


async def test_what_was_given_back_before_is_sent(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.think()
    await pipeline.engine.store.release(await pipeline.engine.claim_items("out"))

    set_back(pipeline)
    await pass_a_minute(pipeline, wall_clock)

    assert pipeline.texts() == ["De 8 a 18."]


async def test_what_is_given_back_only_afterwards_is_sent(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.think()
    in_hand = await pipeline.engine.claim_items("out")

    set_back(pipeline)
    await wall_clock.look()
    await pipeline.engine.store.release(in_hand)
    await pass_a_minute(pipeline, wall_clock)

    assert pipeline.texts() == ["De 8 a 18."]


async def test_whoever_waits_for_work_is_woken(pipeline: Pipeline, wall_clock: WallClock) -> None:
    engine = pipeline.engine
    await engine.accept(engine.said("horario"))
    await pipeline.think()
    await engine.store.release(await engine.claim_items("out"))
    set_back(pipeline)
    assert await engine.idle("out")

    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(BEFORE_LOOKING):
            tasks.start_soon(wall_clock.look)
            assert len(await engine.store.claim_items("out", 1)) == 1


async def test_a_retry_keeps_its_moment(pipeline: Pipeline, wall_clock: WallClock) -> None:
    pipeline.provider.script = [plugin.Unavailable("away", retry_after=7200.0)]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()

    set_back(pipeline)
    await pass_a_minute(pipeline, wall_clock)

    assert pipeline.texts() == []


async def test_steps_that_clocks_may_lie_apart_matter_only_together(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    said = []
    for seconds in (-3600, 3600, 6, 6, 0, 6):
        set_back(pipeline, timedelta(seconds=seconds))
        await wall_clock.look()
        lines = [line for line in pipeline.log.entries if line.event == "the clock was set back"]
        said.append(len(lines))

    assert said == [0, 1, 1, 2, 2, 2]
