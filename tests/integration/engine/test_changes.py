"""Rules that wait for what becomes of conversations: told once, whoever caused it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.domain.decision import Outcome
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running

RULES = """
[[guardrail]]
id = "price"
when.answer.text.words = "cuesta"
then.escalate = { to = "legal", because = "a price" }

[[rule]]
id = "begun"
on = "conversation.opened"
then.run = [{ action = "pager", title = "Abre {{ contact.address }}" }]

[[rule]]
id = "called"
on = "conversation.escalated"
then.run = [{ action = "pager", title = "{{ escalation.to }}: {{ escalation.because }}" }]
then.escalate = { to = "legal", because = "and again" }
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, rules=RULES) as pipeline:
        yield pipeline


async def say(pipeline: Pipeline, text: str) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.settle()
    await pipeline.pass_time(3)


def titles(pipeline: Pipeline) -> list[str]:
    told = [call.params.model_dump()["title"] for call in pipeline.provider.done]
    return [title for title in told if title.startswith(("Abre", "legal:"))]


async def test_a_conversation_that_begins_is_told_once(pipeline: Pipeline) -> None:
    await say(pipeline, "horario")
    await say(pipeline, "horario")

    assert titles(pipeline) == ["Abre tel:+573001234567"]
    assert await pipeline.engine.outcomes() == ["reply", "ignore", "reply"]


async def test_one_that_begins_with_a_question_to_a_model_is_told_too(pipeline: Pipeline) -> None:
    await say(pipeline, "¿tienen gatos?")

    assert "Abre tel:+573001234567" in titles(pipeline)


@pytest.mark.parametrize("text", ["mi abogado", "¿cuánto vale?"])
async def test_an_escalation_is_told_once_whoever_caused_it(pipeline: Pipeline, text: str) -> None:
    await say(pipeline, text)

    because = "amenaza legal" if "abogado" in text else "a price"
    assert titles(pipeline) == ["Abre tel:+573001234567", f"legal: {because}"]
    outcomes = await pipeline.engine.outcomes()
    assert outcomes[-1] == Outcome.ESCALATE.word
