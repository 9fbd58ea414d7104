"""The wall clock of a running router leaps ahead: nothing is old that was not old before."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from router import plugin
from router.ages import SETTLED
from router.domain.conversation import BOT
from router.pipeline.people.acts import perform
from router.pipeline.people.surroundings import Configured
from router.schedule.retention import Retention
from router.schedule.wall_clock import WallClock
from router.storage.idempotency import RequestKey, once
from router.storage.tables import conversation, message
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running

DAY = 86400.0
YEAR = timedelta(days=365)
GOODBYE = """
[[rule]]
id = "goodbye"
on = "idle"
then.reply = { text = "Hasta luego." }
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, policy='keep = "30d"\n', rules=GOODBYE) as pipeline:
        yield pipeline


def step(pipeline: Pipeline, by: timedelta) -> None:
    clock = pipeline.engine.clock
    clock.set(clock.now() + by)


async def say(pipeline: Pipeline, text: str = "horario") -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.settle()


async def test_what_was_over_lately_is_not_deleted(pipeline: Pipeline) -> None:
    settings, engine = pipeline.configuration.settings, pipeline.engine
    retention = Retention(engine.store, lambda: settings, pipeline.log)
    await say(pipeline)
    await pipeline.pass_time(2 * DAY)
    assert [row.status for row in await engine.rows(conversation)] == ["closed"]

    step(pipeline, YEAR)

    assert not await retention.sweep()
    assert await engine.rows(message)
    await pipeline.pass_time(31 * DAY)
    assert (await retention.sweep())["conversation"] == 1


async def test_a_request_is_done_once_although_the_clock_was_ahead_meanwhile(
    pipeline: Pipeline,
) -> None:
    done: list[int] = []

    def ask(key: str) -> Any:
        request = RequestKey(tenant="main", token="t", route="r", key=key, digest="d")

        def do() -> dict[str, int]:
            done.append(1)
            return {"n": len(done)}

        return pipeline.engine.store.write(lambda tx: once(tx, request, do))

    assert await ask("mine") == ({"n": 1}, False)
    step(pipeline, YEAR)
    assert await ask("mine") == ({"n": 1}, True)
    assert await ask("another") == ({"n": 2}, False)
    step(pipeline, -YEAR)
    assert await ask("mine") == ({"n": 1}, True)


async def test_the_bot_does_not_speak_over_a_person_who_wrote_lately(pipeline: Pipeline) -> None:
    engine = pipeline.engine
    await say(pipeline)
    (thread,) = await engine.rows(conversation)
    given = {"by": "eva", "id": thread.id, "text": "Soy Eva", "tenant": "main"}
    around = Configured(lambda: pipeline.configuration)
    await perform(engine.store, "conversations.send", given, around)
    await pipeline.settle()

    step(pipeline, timedelta(days=3))
    await say(pipeline)

    assert pipeline.texts() == ["De 8 a 18.", "Soy Eva"]
    await pipeline.pass_time(SETTLED.total_seconds())
    await say(pipeline)
    assert [row.owner for row in await engine.rows(conversation)] == [BOT]


async def test_nobody_is_told_goodbye_who_wrote_lately(pipeline: Pipeline) -> None:
    await say(pipeline)

    step(pipeline, timedelta(days=3))
    await pipeline.pass_time(60)

    assert pipeline.texts() == ["De 8 a 18."]
    assert await pipeline.engine.store.fire_timers() == 0

    step(pipeline, -timedelta(days=3))
    await pipeline.pass_time(60)
    assert pipeline.texts() == ["De 8 a 18."]
    await pipeline.pass_time(2 * DAY)
    assert pipeline.texts() == ["De 8 a 18.", "Hasta luego."]


async def test_a_look_that_had_begun_tells_nobody_goodbye_either(pipeline: Pipeline) -> None:
    await say(pipeline)
    await pipeline.pass_time(DAY / 2)
    await say(pipeline)
    pipeline.engine.clock.advance(DAY / 2)
    assert await pipeline.engine.store.fire_timers() == 1

    step(pipeline, timedelta(days=3))
    await pipeline.settle()
    await pipeline.pass_time(60)

    assert pipeline.texts() == ["De 8 a 18."] * 2


async def test_timers_that_are_held_are_not_looked_at_over_and_over(pipeline: Pipeline) -> None:
    await say(pipeline)

    step(pipeline, timedelta(days=3))

    assert await pipeline.engine.store.fire_timers() == 0
    with anyio.move_on_after(0.1) as waiting:
        await pipeline.engine.store.wait_timers()
    assert waiting.cancelled_caught


async def test_turns_do_not_wait_for_the_clock(pipeline: Pipeline) -> None:
    step(pipeline, YEAR)
    await say(pipeline, "cuanto cuesta")
    await pipeline.pass_time(2)

    assert pipeline.texts() == ["Cuesta 5."]


async def test_a_step_ahead_that_has_lasted_is_believed(pipeline: Pipeline) -> None:
    await say(pipeline)

    step(pipeline, timedelta(days=3))
    await pipeline.pass_time(0)
    assert pipeline.texts() == ["De 8 a 18."]
    await pipeline.pass_time(SETTLED.total_seconds())

    assert pipeline.texts() == ["De 8 a 18.", "Hasta luego."]


@pytest.mark.parametrize("refusals", [0, 1])
async def test_an_answer_of_a_moment_ago_is_not_too_old(pipeline: Pipeline, refusals: int) -> None:
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=2.0)] * refusals
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.think()

    step(pipeline, YEAR)
    await pipeline.settle()
    await pipeline.pass_time(2)

    assert pipeline.texts() == ["De 8 a 18."]


async def test_a_step_ahead_is_told_once_and_time_that_passed_is_not(pipeline: Pipeline) -> None:
    clock, log = pipeline.engine.clock, pipeline.log
    wall_clock = WallClock(pipeline.engine.store, clock, log)
    clock.advance(YEAR)  # suspended for a year
    await wall_clock.look()
    assert not log.entries

    for _ in range(2):
        step(pipeline, timedelta(hours=2))
        for _ in range(3):
            await wall_clock.look()
            clock.advance(2)
        step(pipeline, timedelta(hours=-2))
        await wall_clock.look()

    said = [line for line in log.entries if line.event == "the clock was set ahead"]
    assert [line.values["seconds"] for line in said] == [7200.0, 7200.0]
