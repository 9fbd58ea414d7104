"""What was said stands in the order in which it was said, although the wall clock is set back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from router import plugin
from router.pipeline.people.acts import perform
from router.pipeline.people.surroundings import Configured
from router.schedule.wall_clock import WallClock
from router.storage import conversations, messages
from router.storage.tables import conversation, message
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

STEP = timedelta(minutes=5)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path) as pipeline:
        yield pipeline


def set_back(pipeline: Pipeline, step: timedelta = STEP) -> None:
    clock = pipeline.engine.clock
    clock.set(clock.now() - step)


async def ask(pipeline: Pipeline, word: str, *, then: timedelta = timedelta(0)) -> None:
    """Let a question be asked and answered.

    :param then: how far the clock is set back before the question is worked.
    """
    wall_clock = WallClock(pipeline.engine.store, pipeline.engine.clock, pipeline.log)
    pipeline.provider.answer = plugin.Completion(
        f"Respuesta {word}.", confidence=0.9, category="INFO"
    )
    await pipeline.engine.accept(pipeline.engine.said(f"pregunta {word}"))
    set_back(pipeline, then)
    await wall_clock.look()
    await pipeline.think()
    for seconds in (3, 20):
        await pipeline.pass_time(seconds)


async def say(pipeline: Pipeline, text: str) -> None:
    (thread,) = await pipeline.engine.rows(conversation)
    given = {"by": "eva", "id": thread.id, "text": text, "tenant": "main"}
    around = Configured(lambda: pipeline.configuration)
    await perform(pipeline.engine.store, "conversations.send", given, around)


async def shown(pipeline: Pipeline, limit: int = 100) -> list[list[str]]:
    """Give what people read in each of the places that show a thread, oldest first."""
    read, (thread,) = pipeline.engine.store.read, await pipeline.engine.rows(conversation)
    lines = await read(lambda it: conversations.last_lines(it, "main", thread.id, limit=limit))
    whole = await read(lambda it: messages.thread(it, "main", str(ANA), limit=limit))
    pages = await read(lambda it: messages.list_messages(it, "main", thread.id, limit=limit))
    return [
        [it.text for it in lines],
        [it.text for it in whole],
        [it.text for it in reversed(pages)],
    ]


def told(pipeline: Pipeline) -> list[str]:
    """Give what the model was last told of the conversation."""
    return [it.text for it in pipeline.provider.asked[-1].turns]


async def test_a_model_and_people_see_it_in_order(pipeline: Pipeline) -> None:
    said = []
    for word in ("uno", "dos", "tres", "cuatro"):
        if word == "tres":
            set_back(pipeline)
        await ask(pipeline, word)
        said += [f"pregunta {word}", f"Respuesta {word}."]

    assert told(pipeline) == said[:7]
    assert await shown(pipeline) == [said] * 3
    assert await shown(pipeline, limit=3) == [said[-3:]] * 3


async def test_a_question_stands_before_its_answer(pipeline: Pipeline) -> None:
    await ask(pipeline, "uno", then=STEP)
    await ask(pipeline, "dos")

    said = ["pregunta uno", "Respuesta uno.", "pregunta dos", "Respuesta dos."]
    assert await shown(pipeline) == [said] * 3
    assert told(pipeline) == said[:3]


async def test_a_person_speaks_last(pipeline: Pipeline) -> None:
    await ask(pipeline, "uno")

    set_back(pipeline)
    await say(pipeline, "Soy Eva.")
    await say(pipeline, "¿Sigue ahí?")
    await pipeline.engine.accept(pipeline.engine.said("sí"))
    await pipeline.settle()

    said = ["pregunta uno", "Respuesta uno.", "Soy Eva.", "¿Sigue ahí?", "sí"]
    assert await shown(pipeline) == [said] * 3


async def test_a_clock_that_was_a_year_ahead_leaves_no_such_dates(pipeline: Pipeline) -> None:
    await ask(pipeline, "uno")
    right = pipeline.engine.clock.now()

    set_back(pipeline, timedelta(days=-365))
    await ask(pipeline, "dos")
    pipeline.engine.clock.set(right)
    await ask(pipeline, "tres")
    await say(pipeline, "Soy Eva.")

    ahead = [it.text for it in await pipeline.engine.rows(message) if it.created_at > right + STEP]
    assert sorted(ahead) == ["Respuesta dos.", "pregunta dos"]


async def test_what_was_written_before_an_answer_stays_before_it(pipeline: Pipeline) -> None:
    """While no clock is set back, a message stands where it came in, not where it was worked."""
    engine = pipeline.engine
    await engine.accept(engine.said("horario"))
    engine.clock.advance(1)
    await engine.accept(engine.said("y los domingos"))
    engine.clock.advance(1)
    await pipeline.settle()

    for lines in await shown(pipeline):
        assert lines[:3] == ["horario", "y los domingos", "De 8 a 18."]
