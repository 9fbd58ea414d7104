"""A customer who blocks us at the provider is left alone from the moment that this is accepted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router import plugin
from router.domain.identity import thread_key
from router.storage.tables import contact, draft, inbox_event, outbox
from tests.integration.engine.harness import ANA, DATABASES, LUIS
from tests.integration.engine.pipeline import Pipeline, running

RULES = """
[[guardrail]]
id = "price"
when.answer.text.words = "cuesta"
then.draft = "a price"
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, rules=RULES) as pipeline:
        yield pipeline


async def say(pipeline: Pipeline, text: str) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.think()


async def block(pipeline: Pipeline, id: str = "b1", who: plugin.Address = ANA) -> None:
    event = plugin.ContactOptedOut(id, who, "blocked the bot")
    await pipeline.engine.accept(pipeline.engine.event(event))


async def states(pipeline: Pipeline) -> list[str]:
    rows = await pipeline.engine.rows(outbox, kind="message")
    return [row.state for row in sorted(rows, key=lambda row: row.seq)]


async def test_what_waits_is_withdrawn_before_the_event_has_its_turn(pipeline: Pipeline) -> None:
    await say(pipeline, "horario")
    before = (await pipeline.engine.conversation()).epoch

    await block(pipeline)

    (person,) = await pipeline.engine.rows(contact)
    assert person.opted_out
    assert (await pipeline.engine.conversation()).epoch == before + 1
    assert await states(pipeline) == ["withdrawn"]
    await pipeline.settle()
    assert pipeline.texts() == []
    assert await pipeline.engine.outcomes() == ["reply", "recorded"]


async def test_a_question_that_is_out_is_not_answered_any_more(pipeline: Pipeline) -> None:
    await say(pipeline, "¿cuánto?")
    await block(pipeline)

    await pipeline.pass_time(60)

    assert pipeline.texts() == []
    assert await states(pipeline) == []
    assert None not in await pipeline.engine.outcomes()


async def test_a_word_that_opts_out_at_the_provider_is_not_answered_by_a_model(
    pipeline: Pipeline,
) -> None:
    # One webhook brings both.
    said = pipeline.engine.said("¿paro?")
    wish = pipeline.engine.event(plugin.ContactOptedOut("b1", ANA, "said so"))
    await pipeline.engine.accept(said, wish)

    await pipeline.pass_time(60)

    assert pipeline.texts() == []
    assert pipeline.provider.asked == []
    assert None not in await pipeline.engine.outcomes()


async def test_a_draft_for_them_is_thrown_away(pipeline: Pipeline) -> None:
    await say(pipeline, "¿cuánto?")
    await pipeline.pass_time(60)
    assert [row.state for row in await pipeline.engine.rows(draft)] == ["pending"]

    await block(pipeline)

    (row,) = await pipeline.engine.rows(draft)
    assert row.state == "discarded"
    assert row.because.endswith("Rejected: the customer opted out at the provider")


async def test_a_stranger_who_blocks_us_becomes_known_as_such(pipeline: Pipeline) -> None:
    await block(pipeline, who=LUIS)
    await pipeline.settle()

    (person,) = await pipeline.engine.rows(contact)
    assert (person.key, person.opted_out) == (thread_key(LUIS), True)
    assert await pipeline.engine.outcomes() == ["recorded"]


async def test_a_second_delivery_changes_nothing(pipeline: Pipeline) -> None:
    await say(pipeline, "horario")
    await pipeline.settle()
    await block(pipeline)
    epoch = (await pipeline.engine.conversation()).epoch

    await block(pipeline)

    assert (await pipeline.engine.conversation()).epoch == epoch
    assert len(await pipeline.engine.rows(inbox_event, type="opt_out")) == 1


async def test_who_writes_again_is_answered(pipeline: Pipeline) -> None:
    await say(pipeline, "hola")
    await block(pipeline)
    await pipeline.settle()

    await say(pipeline, "horario")
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18."]
