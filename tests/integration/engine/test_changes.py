"""Rules that wait for what becomes of conversations: told once, whoever caused it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.domain.decision import Outcome
from router.storage.tables import contact
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


LEARNT = """
[[guardrail]]
id = "out"
stage = "input"
when.text.words = "baja"
then.opt_out.say = "Listo."

[[rule]]
id = "city"
when.text.words = "cali"
then = { set.contact.attribute.city = "Cali", escalate = { to = "legal", because = "x" } }

[[rule]]
id = "welcome"
on = "conversation.opened"
then = { set.contact.attribute.campaign = "junio", reply.text = "¡Bienvenida!" }

[[rule]]
id = "told"
on = "conversation.escalated"
then.run = [{ action = "pager", title = "legal: {{ contact.attribute.city }}" }]
"""


@pytest.mark.parametrize("name", list(DATABASES))
async def test_what_an_event_made_of_the_customer_is_known_to_what_it_announces(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path, rules=LEARNT) as pipeline:
        await say(pipeline, "soy de cali")

        (row,) = await pipeline.engine.rows(contact)
        assert row.attributes == {"city": "Cali", "campaign": "junio"}
        assert "legal: Cali" in titles(pipeline)


@pytest.mark.parametrize("name", list(DATABASES))
async def test_whose_first_words_are_an_opt_out_is_not_welcomed(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, rules=LEARNT) as pipeline:
        await say(pipeline, "baja")

        assert pipeline.texts() == ["Listo."]


CLASSIFIED = """
[[rule]]
id = "first-sort"
then.classify = "assistant"

[[rule]]
id = "prices"
when.text.words = "cuesta"
then.escalate = { to = "legal", because = "people tell prices now" }
"""


@pytest.mark.parametrize("name", list(DATABASES))
async def test_an_answer_waits_for_the_sort_that_other_rules_ask_for_meanwhile(
    name: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path, debounce="0s") as pipeline:
        await pipeline.engine.accept(pipeline.engine.said("¿cuánto cuesta?"))
        await pipeline.think()

        with (tmp_path / "rules.toml").open("a") as rules:
            rules.write(CLASSIFIED)
        pipeline.reload("apology", "apology")
        await pipeline.settle()

        assert pipeline.texts() == []
        assert [question.task for question in pipeline.provider.asked] == ["answer", "classify"]
        assert (await pipeline.engine.outcomes())[-1] == "escalate"
