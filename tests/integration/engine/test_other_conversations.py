"""What waits in a conversation that was closed, when the customer's next one goes on without it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.errors import ActRefused
from router.pipeline.people import acts
from router.pipeline.people.surroundings import Configured
from router.storage.tables import conversation, draft, outbox
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

RULES = """
[[guardrail]]
id = "price"
when.answer.text.words = "cuesta"
then.draft = "a price"

[[guardrail]]
id = "stop"
stage = "input"
when.text.words = "baja"
then.opt_out = { say = "Listo." }
"""
BUSY = plugin.Unavailable("busy", retry_after=3000.0)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    policy = 'idle_close = "10m"'
    async with running(request.param, tmp_path, rules=RULES, policy=policy) as pipeline:
        pipeline.can("phone", window=timedelta(hours=24))
        yield pipeline


async def say(pipeline: Pipeline, text: str) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.settle()


async def do(pipeline: Pipeline, name: str, id: str, **given: Any) -> dict[str, Any]:
    given = {"by": "lucia", "tenant": "main", "id": id, **given}
    around = Configured(lambda: pipeline.configuration)
    return await acts.perform(pipeline.engine.store, name, given, around)


async def drafted(pipeline: Pipeline) -> Any:
    """Let a model's answer wait for a person."""
    await say(pipeline, "¿cuánto?")
    await pipeline.pass_time(5)
    return (await drafts(pipeline))[-1]


async def drafts(pipeline: Pipeline) -> list[Any]:
    rows = await pipeline.engine.rows(draft)
    return sorted(rows, key=lambda row: (row.created_at, row.id))


async def close(pipeline: Pipeline) -> None:
    """Let the open conversation be closed as before, whatever waits in it."""
    await pipeline.engine.store.write(
        lambda tx: tx.connection.execute(conversation.update().values(status="closed"))
    )


async def opt_out(pipeline: Pipeline, how: str) -> None:
    if how == "said":
        await say(pipeline, "baja")
    else:
        event = plugin.ContactOptedOut("b1", ANA, "blocked the bot")
        await pipeline.engine.accept(pipeline.engine.event(event))


async def take_over(pipeline: Pipeline, how: str) -> None:
    if how == "echoed":
        event = plugin.MessageEchoed("e1", ANA, "Hola, soy Lucía.")
        await pipeline.engine.accept(pipeline.engine.event(event))
        return
    await say(pipeline, "¿hola?")
    (open_,) = await pipeline.engine.rows(conversation, status="active")
    await do(pipeline, "conversations.take", open_.id)


@pytest.mark.parametrize("how", ["said", "blocked", "echoed", "taken"])
async def test_an_answer_that_waits_there_is_not_sent_any_more(
    pipeline: Pipeline, how: str
) -> None:
    pipeline.provider.scripts = {"phone": [BUSY]}
    await say(pipeline, "horario")
    await pipeline.pass_time(900)
    assert [row.status for row in await pipeline.engine.rows(conversation)] == ["closed"]
    (waiting,) = await pipeline.engine.rows(outbox, kind="message")

    await (opt_out if how in ("said", "blocked") else take_over)(pipeline, how)
    await pipeline.settle()
    await pipeline.pass_time(4000)

    assert await pipeline.engine.state(waiting.id) == "withdrawn"
    assert "De 8 a 18." not in pipeline.texts()


@pytest.mark.parametrize("how", ["said", "blocked"])
async def test_a_draft_that_waits_there_is_thrown_away_by_an_opt_out(
    pipeline: Pipeline, how: str
) -> None:
    one = await drafted(pipeline)
    await close(pipeline)

    await opt_out(pipeline, how)

    (row,) = await drafts(pipeline)
    assert row.state == "discarded"
    for act, more in (("approve", {}), ("edit", {"text": "Cuesta 6."})):
        with pytest.raises(ActRefused, match="is discarded already, by router: the customer opted"):
            await do(pipeline, f"drafts.{act}", one.id, **more)
    await pipeline.settle()
    assert "Cuesta 5." not in pipeline.texts()


async def test_a_conversation_stays_open_while_a_draft_waits_in_it(pipeline: Pipeline) -> None:
    one = await drafted(pipeline)
    for _ in range(3):
        await pipeline.pass_time(900)
    assert (await pipeline.engine.conversation()).status == "active"

    await do(pipeline, "drafts.reject", one.id)
    for _ in range(2):
        await pipeline.pass_time(900)

    assert [row.status for row in await pipeline.engine.rows(conversation)] == ["closed"]


async def test_a_draft_of_a_closed_conversation_is_sent_where_the_customer_wrote_last(
    pipeline: Pipeline,
) -> None:
    one = await drafted(pipeline)
    await close(pipeline)
    await pipeline.pass_time(25 * 3600)
    with pytest.raises(ActRefused):
        await do(pipeline, "drafts.approve", one.id)
    await say(pipeline, "horario")

    await do(pipeline, "drafts.approve", one.id)
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18.", "Cuesta 5."]


async def test_a_newer_draft_overtakes_the_one_that_waits(pipeline: Pipeline) -> None:
    await drafted(pipeline)
    await drafted(pipeline)

    older, newer = await drafts(pipeline)

    assert (older.state, newer.state) == ("discarded", "pending")
    assert older.because.endswith("Rejected: a newer draft came")


@pytest.mark.parametrize("how", ["echoed", "sent"])
async def test_what_a_person_writes_overtakes_a_draft(pipeline: Pipeline, how: str) -> None:
    one = await drafted(pipeline)

    if how == "echoed":
        await take_over(pipeline, how)
    else:
        await do(pipeline, "conversations.send", one.conversation, text="Cuesta 7.")

    (row,) = await drafts(pipeline)
    who = {"echoed": "a person", "sent": "lucia"}[how]
    assert row.state == "discarded"
    assert row.because.endswith(f"Rejected: {who} wrote to the customer")
