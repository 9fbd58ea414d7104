"""A template that the provider would refuse by now is not tried: a person learns of it at once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from router import plugin
from router.storage.tables import message, outbox, ticket
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running

RULES = """
[template.aviso]
ref = "HX1"
text = "Hola, {{1}}."

[[rule]]
id = "notice"
when.text.words = "aviso"
then.reply = { template = "aviso", variables = { 1 = "Ana" } }
"""

APPROVED = plugin.TemplateInfo(
    ref="HX1", name="aviso", language="es", status="approved", variables=frozenset({"1"})
)
PAUSED = replace(APPROVED, status="paused")


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, rules=RULES) as pipeline:
        yield pipeline


def lists(pipeline: Pipeline, *infos: plugin.TemplateInfo) -> None:
    """Let the provider list its templates."""
    pipeline.approvals.put("main", "phone", pipeline.engine.clock.now(), infos)


@pytest.mark.parametrize(
    ("infos", "why"),
    [
        ([PAUSED], "la plantilla «aviso» no está aprobada: en pausa"),
        (
            [replace(APPROVED, status="rejected", reason="promotional")],
            "la plantilla «aviso» no está aprobada: rechazada (promotional)",
        ),
        ([], "el proveedor no tiene la plantilla «HX1»"),
        (
            [replace(APPROVED, variables=frozenset({"2"}))],
            "la plantilla «aviso» lleva otras variables en el proveedor: 2",
        ),
    ],
)
async def test_a_template_that_was_refused_while_it_waited_is_a_ticket_and_no_attempt(
    pipeline: Pipeline, infos: list[plugin.TemplateInfo], why: str
) -> None:
    lists(pipeline, APPROVED)
    await pipeline.engine.accept(pipeline.engine.said("aviso"))
    await pipeline.think()
    pipeline.engine.clock.advance(timedelta(minutes=5))

    lists(pipeline, *infos)
    await pipeline.act("out")

    assert pipeline.texts() == []
    (item,) = await pipeline.engine.rows(outbox)
    assert (item.state, item.attempt, item.code) == ("dead", 0, None)
    assert "template" in item.error
    (opened,) = await pipeline.engine.rows(ticket)
    assert opened.title == f"No se pudo escribir por «phone»: {why}"
    assert (opened.conversation, opened.queue) == (item.conversation, "default")
    (line,) = await pipeline.engine.rows(message, direction="out")
    assert (line.status, line.failure) == ("failed", item.error)


@pytest.mark.parametrize(
    ("text", "listed", "minutes"),
    [
        ("aviso", [APPROVED], 0),
        # Where the customer wrote lately it needs no approval, and the provider knows.
        ("aviso", [replace(PAUSED, in_window=True)], 0),
        ("aviso", [PAUSED], 25 * 60),
        ("aviso", None, 0),
        ("horario", [], 0),
    ],
    ids=["approved", "for the window", "listed too long ago", "not listed", "a text"],
)
async def test_what_nobody_objects_to_is_left_to_the_provider(
    pipeline: Pipeline, text: str, listed: list[plugin.TemplateInfo] | None, minutes: int
) -> None:
    if listed is not None:
        lists(pipeline, *listed)
    pipeline.engine.clock.advance(timedelta(minutes=minutes))
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.think()

    await pipeline.act("out")

    assert len(pipeline.texts()) == 1
    assert await pipeline.engine.rows(ticket) == []


async def test_a_barred_template_is_withdrawn_where_a_person_took_over(pipeline: Pipeline) -> None:
    await pipeline.engine.accept(pipeline.engine.said("aviso"))
    await pipeline.think()
    await pipeline.engine.accept(pipeline.engine.echoed("Le atiende Marta"))

    lists(pipeline, PAUSED)
    await pipeline.act("out")

    assert [row.state for row in await pipeline.engine.rows(outbox)] == ["withdrawn"]
    assert await pipeline.engine.rows(ticket) == []


async def test_a_barred_template_uses_no_token_and_lets_the_next_message_go(
    pipeline: Pipeline,
) -> None:
    pipeline.can("phone", sender_limit=plugin.RateLimit(60.0))
    for text in ("aviso", "¿Cuál es el horario?"):
        await pipeline.engine.accept(pipeline.engine.said(text))
        await pipeline.think()

    lists(pipeline, PAUSED)
    await pipeline.act("out")

    assert pipeline.texts() == ["De 8 a 18."]
