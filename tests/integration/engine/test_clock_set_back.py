"""The wall clock of a running router is set back: what waited for a moment does not wait longer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from router import plugin
from router.pipeline.attempts.guard import restore
from router.schedule.silence import SilenceAlarm
from router.schedule.wall_clock import WallClock
from router.storage.tables import ticket
from tests.integration.engine.harness import BEFORE_LOOKING, DATABASES
from tests.integration.engine.pipeline import Pipeline, instances_of, running

TABLES = """
[queues.default]
title = "Todos"
"""

HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, tables=TABLES) as pipeline:
        yield pipeline


@pytest.fixture
def wall_clock(pipeline: Pipeline) -> WallClock:
    """What watches the clock, by hand."""
    return WallClock(pipeline.engine.store, pipeline.engine.clock, pipeline.log)


def set_back(pipeline: Pipeline, step: timedelta = HOUR) -> None:
    clock = pipeline.engine.clock
    clock.set(clock.now() - step)


async def pass_a_minute(pipeline: Pipeline, wall_clock: WallClock) -> None:
    await pass_minutes(pipeline, wall_clock, 1)


async def pass_minutes(pipeline: Pipeline, wall_clock: WallClock, minutes: int) -> None:
    for _ in range(6 * minutes):
        await wall_clock.look()
        await pipeline.pass_time(10)


def break_soon(pipeline: Pipeline) -> None:
    """Let breakers open at the second failure."""
    for live in pipeline.configuration.instances.all():
        live.breaker.after = 2


def break_work(pipeline: Pipeline) -> list[Exception]:
    """Let whatever came in break as it is worked, until the list is empty."""
    broken: list[Exception] = [RuntimeError("a moment's trouble")]

    def poison(work: object) -> None:
        if broken:
            raise broken[0]

    pipeline.poison = poison
    return broken


async def open_phone(pipeline: Pipeline) -> None:
    """Let two customers' answers find that the channel is away."""
    break_soon(pipeline)
    pipeline.provider.scripts["phone"] = [plugin.Unavailable("busy")] * 2
    for number in range(2):
        who = plugin.Address("tel", f"+5730000000{number:02}")
        await pipeline.engine.accept(pipeline.engine.said("horario", who=who))
        await pipeline.settle()
    assert pipeline.configuration.instances.channels["main", "phone"].breaker.is_open


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


@pytest.mark.parametrize("step", [HOUR, YEAR])
async def test_a_retry_waits_no_longer_than_without(
    pipeline: Pipeline, wall_clock: WallClock, step: timedelta
) -> None:
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=30.0)]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    await pipeline.engine.accept(pipeline.engine.said("horario"))

    set_back(pipeline, step)
    await pass_a_minute(pipeline, wall_clock)

    assert pipeline.texts() == ["De 8 a 18."] * 2


async def test_nodes_that_each_notice_the_step_make_a_retry_earlier_but_not_lost(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=30.0)]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()

    set_back(pipeline)
    for _ in range(3):
        await pipeline.engine.store.clock_set_back(HOUR)
    ready_at = (await pipeline.engine.lane("out")).ready_at

    assert ready_at == pipeline.engine.clock.now()
    await pass_a_minute(pipeline, wall_clock)
    assert pipeline.texts() == ["De 8 a 18."]


async def test_an_event_that_broke_is_tried_again_soon(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    broken = break_work(pipeline)
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.think()
    broken.clear()

    set_back(pipeline)
    await pass_a_minute(pipeline, wall_clock)

    assert pipeline.texts() == ["De 8 a 18."]


async def test_a_start_lets_a_retry_wait_no_longer_than_without(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=30.0)]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()

    set_back(pipeline)
    await pipeline.crash()

    ready_at = (await pipeline.engine.lane("out")).ready_at
    assert ready_at == pipeline.engine.clock.now() + timedelta(seconds=30)


async def test_a_start_lets_nothing_wait_for_longer_than_any_retry(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    """What came in last does not tell of the step: the clock was ahead only since."""
    broken = break_work(pipeline)
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    set_back(pipeline, -YEAR)
    await pipeline.think()
    broken.clear()

    set_back(pipeline, YEAR)
    await pipeline.crash()
    await pass_a_minute(pipeline, wall_clock)

    assert pipeline.texts() == ["De 8 a 18."]


async def test_a_start_leaves_a_retry_alone_whatever_came_by_a_clock_of_another_year(
    pipeline: Pipeline,
) -> None:
    set_back(pipeline, -YEAR)
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    set_back(pipeline, YEAR)
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=7200.0)]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    before = (await pipeline.engine.lane("out")).ready_at
    assert before > pipeline.engine.clock.now() + HOUR

    await pipeline.crash()

    assert (await pipeline.engine.lane("out")).ready_at == before


async def test_an_open_breaker_lets_a_call_try_after_its_pause(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    await open_phone(pipeline)

    set_back(pipeline)
    await pass_minutes(pipeline, wall_clock, 2)

    assert pipeline.texts() == ["De 8 a 18."] * 2


async def test_a_breaker_that_a_start_finds_open_lets_a_call_try_after_its_pause(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    await open_phone(pipeline)

    set_back(pipeline)
    pipeline.configuration = instances_of(
        pipeline.configuration.settings, pipeline.engine.clock, pipeline.log, pipeline.provider
    )
    break_soon(pipeline)
    await pipeline.crash()
    await restore(pipeline.engine.store, pipeline.configuration.instances)
    await pass_minutes(pipeline, wall_clock, 2)

    assert pipeline.texts() == ["De 8 a 18."] * 2


async def test_a_question_to_a_model_that_is_away_goes_to_a_person_in_minutes(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    break_soon(pipeline)
    pipeline.provider.scripts["assistant"] = [plugin.Unavailable("down")] * 100
    await pipeline.engine.accept(pipeline.engine.said("cuanto cuesta"))
    for _ in range(3):
        await pipeline.pass_time(3)
    assert not await pipeline.engine.rows(ticket)

    set_back(pipeline)
    await pass_minutes(pipeline, wall_clock, 4)

    assert len(await pipeline.engine.rows(ticket)) == 1


@pytest.mark.parametrize("found", [True, False])
async def test_a_message_of_which_nobody_knows_is_looked_for_in_minutes(
    pipeline: Pipeline, wall_clock: WallClock, found: bool
) -> None:
    pipeline.can("phone", find_sent=True, complete_listing=True)
    pipeline.provider.listing = [["SM1"] if found else []] * 10
    pipeline.provider.script = [plugin.OutcomeUnknown("the line was cut")]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()
    left_at = pipeline.engine.clock.now()

    set_back(pipeline)
    await pass_minutes(pipeline, wall_clock, 3)

    # What is not listed may have left before the clock was right: people decide.
    assert len(await pipeline.engine.rows(ticket)) == (0 if found else 1)
    assert len(pipeline.texts()) == 1
    assert {since < left_at - HOUR for _, since in pipeline.provider.looked} == {True}


async def test_a_message_that_was_decided_in_the_future_is_not_sent_twice(
    pipeline: Pipeline, wall_clock: WallClock
) -> None:
    pipeline.can("phone", find_sent=True, complete_listing=True)
    lost = plugin.OutcomeUnknown("the line was cut")
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=30.0), lost]
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.settle()

    set_back(pipeline)
    left_at = pipeline.engine.clock.now()
    await pass_minutes(pipeline, wall_clock, 4)

    assert {since < left_at for _, since in pipeline.provider.looked} == {True}
    assert len(await pipeline.engine.rows(ticket)) == 1
    assert len(pipeline.texts()) == 1


async def test_what_is_stuck_is_told_although_it_came_in_the_future(pipeline: Pipeline) -> None:
    engine, settings = pipeline.engine, pipeline.configuration.settings
    alarm = SilenceAlarm(engine.store, lambda: settings, engine.clock, pipeline.log)
    await engine.accept(engine.said("horario"))
    set_back(pipeline)

    silent = []
    for minutes in (0, 9, 2):
        engine.clock.advance(timedelta(minutes=minutes))
        await alarm.look()
        silent.append(alarm.silent)

    assert silent == [(), (), ("main/tel:+573001234567#1",)]


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
