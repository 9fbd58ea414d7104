"""Quiet hours: what the business begins waits for their end, durably, and makes nobody wait."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.pipeline.people.acts import perform
from router.pipeline.people.surroundings import Configured
from router.storage.tables import message, outbox, ticket
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

#: The clock starts at nine in the morning, UTC.
OVER = 3600
POLICY = 'quiet_hours = "08:30-10:00"'
TABLES = """
[channels.whatsapp]
type = "ledger"

[channels.calls]
type = "ledger"
"""
RULES = """
[template.seguimiento]
ref = "HX1"
text = "Hola, seguimos por aquí."

[[guardrail]]
id = "stop"
stage = "input"
when.text.words = "baja"
then.opt_out = { say = "No le escribiremos más." }

[[rule]]
id = "follow-up"
on = "call.ended"
then.message.channel = "whatsapp"
then.message.text = "¿Seguimos con {{ call.summary }}?"
then.message.template = "seguimiento"
"""
CALL = plugin.CallEnded(id="conv_1", party=ANA, outcome="success", summary="la factura")


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(
        request.param, tmp_path, policy=POLICY, tables=TABLES, rules=RULES
    ) as pipeline:
        pipeline.can("whatsapp", window=timedelta(hours=24))
        yield pipeline


async def end(pipeline: Pipeline, event: plugin.CallEnded = CALL) -> None:
    await pipeline.engine.accept(pipeline.engine.event(event, channel="calls"))
    await pipeline.settle()


async def write(pipeline: Pipeline, text: str) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text, channel="whatsapp"))
    await pipeline.settle()


async def states(pipeline: Pipeline) -> list[str]:
    rows = await pipeline.engine.rows(outbox, kind="message")
    return [row.state for row in sorted(rows, key=lambda row: row.seq)]


async def held(pipeline: Pipeline) -> Any:
    (row,) = await pipeline.engine.rows(outbox, kind="message")
    return row


async def test_what_begins_leaves_when_they_are_over_and_not_before(pipeline: Pipeline) -> None:
    over: datetime = pipeline.engine.clock.now() + timedelta(seconds=OVER)
    await end(pipeline)

    row = await held(pipeline)
    assert (row.state, row.attempt, row.not_before) == ("waiting", 0, over)
    await pipeline.pass_time(OVER - 1)
    assert pipeline.texts() == []
    await pipeline.pass_time(1)
    assert pipeline.texts() == ["Hola, seguimos por aquí."]
    assert (await held(pipeline)).attempt == 1


async def test_it_waits_through_a_crash(pipeline: Pipeline) -> None:
    await end(pipeline)
    await pipeline.crash()
    await pipeline.settle()

    assert pipeline.texts() == []
    await pipeline.pass_time(OVER)
    assert await states(pipeline) == ["done"]


async def test_several_that_wait_leave_in_order(pipeline: Pipeline) -> None:
    await write(pipeline, "horario")
    await end(pipeline)
    await end(pipeline, replace(CALL, id="conv_2", summary="el envío"))

    await pipeline.pass_time(OVER)

    assert pipeline.texts() == [
        "De 8 a 18.",
        "¿Seguimos con la factura?",
        "¿Seguimos con el envío?",
    ]


async def test_an_answer_leaves_at_once_and_takes_the_place_of_what_waits(
    pipeline: Pipeline,
) -> None:
    await end(pipeline)
    await write(pipeline, "horario")

    assert pipeline.texts() == ["De 8 a 18."]
    assert await states(pipeline) == ["withdrawn", "done"]
    lines = await pipeline.engine.rows(message, direction="out", status="withdrawn")
    assert [line.failure for line in lines] == ["the customer wrote before it was sent"]
    await pipeline.pass_time(2 * OVER)
    assert pipeline.texts() == ["De 8 a 18."]
    assert await pipeline.engine.rows(ticket) == []


async def test_a_question_that_a_model_answers_takes_its_place_too(pipeline: Pipeline) -> None:
    await end(pipeline)
    await write(pipeline, "¿y el precio?")

    assert await states(pipeline) == ["withdrawn"]


async def test_what_begins_while_a_model_thinks_does_not_keep_its_answer_waiting(
    pipeline: Pipeline,
) -> None:
    await write(pipeline, "¿y el precio?")
    await end(pipeline)
    await pipeline.pass_time(3)

    assert (await states(pipeline))[0] == "withdrawn"
    assert len(pipeline.texts()) == 1


async def test_who_opts_out_is_told_so_and_nothing_else(pipeline: Pipeline) -> None:
    await end(pipeline)
    await write(pipeline, "baja")
    await pipeline.pass_time(2 * OVER)

    assert pipeline.texts() == ["No le escribiremos más."]
    assert await states(pipeline) == ["withdrawn", "done"]
    await end(pipeline, replace(CALL, id="conv_2"))
    assert await states(pipeline) == ["withdrawn", "done"]


async def test_a_person_who_takes_over_or_writes_is_not_kept_waiting(pipeline: Pipeline) -> None:
    await write(pipeline, "horario")
    await end(pipeline)
    given = {"id": str(ANA), "by": "ana", "text": "Soy Ana."}
    channels = Configured(lambda: pipeline.configuration)

    await perform(pipeline.engine.store, "conversations.send", given, channels)
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18.", "Soy Ana."]
    assert await states(pipeline) == ["done", "withdrawn", "done"]


async def test_a_window_that_closes_meanwhile_makes_a_template_of_it(pipeline: Pipeline) -> None:
    await write(pipeline, "horario")
    await pipeline.pass_time(23.5 * 3600)
    await end(pipeline)

    bodies = [json.loads(row.body) for row in await pipeline.engine.rows(outbox, kind="message")]
    assert [body["template"]["ref"] for body in bodies if "template" in body] == ["HX1"]


async def test_what_waited_for_long_is_not_taken_for_stale(pipeline: Pipeline) -> None:
    """An answer of days ago is not sent; what quiet hours held back is not one."""
    await end(pipeline)
    await pipeline.pass_time(OVER + 23.9 * 3600)

    assert await states(pipeline) == ["done"]
