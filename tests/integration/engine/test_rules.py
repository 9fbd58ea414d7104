"""What rules can do, through the whole pipeline: silence, templates, prompts, redaction."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.knowledge.index import refresh
from router.storage.decisions import load_trace
from router.storage.store import EventRef
from router.storage.tables import conversation, draft, inbox_event, outbox
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

RULES = """
[[guardrail]]
id = "cards"
stage = "input"
when.pii = "card"
then.redact = ["card"]

[[guardrail]]
id = "too-many"
stage = "input"
when.history.messages.1m.above = 3
then.ignore = "too many messages"

[[guardrail]]
id = "invented-price"
when.answer.prices.empty = false
unless.answer.text.equals = "Cuesta 5."
then.draft = "a price that no article states"

[prompt.warranty]
text = "You know about warranties."

[template.welcome]
ref = { es = "HX1", pt = "HX2" }
text = { es = "Hola {{1}}", pt = "Olá {{1}}" }

[[rule]]
id = "hush"
when.text.words = "silencio"
then = { snooze = "1h", reply.text = "Me callo una hora." }

[[rule]]
id = "welcome"
when.text.words = ["bienvenida", "boas vindas"]
then.reply = { template = "welcome", variables = { 1 = "{{ contact.address }}" } }

[[rule]]
id = "warranty"
when.text.words = "garantia"
then = { use = { prompt = "warranty", knowledge = "garantia" }, stop = true }

[[rule]]
id = "again"
when.history.repeats.10m.at_least = 2
then.ticket = { title = "Pregunta lo mismo" }
unless.text.words = "hola"

[[rule]]
id = "goodbye"
on = "idle"
when.conversation.category = "INFO"
then.reply.text = "Cerramos esta conversación."

[[rule]]
id = "left-waiting"
on = "idle"
when.conversation.tag = "sad"
then.escalate = { to = "legal", because = "left alone" }

[[rule]]
id = "sad"
when.text.words = "triste"
then = { tag = "sad", ignore = "x" }
"""


@asynccontextmanager
async def ruled(name: str, folder: Path) -> AsyncIterator[Pipeline]:
    policy = 'while_owned = "draft"'
    articles = '\n[knowledge]\nfolders = ["articles"]\n'
    (folder / "articles").mkdir()
    async with running(
        name, folder, debounce="0s", policy=policy, tables=articles, rules=RULES
    ) as pipeline:
        yield pipeline


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with ruled(request.param, tmp_path) as pipeline:
        yield pipeline


async def say(pipeline: Pipeline, *texts: str) -> None:
    for text in texts:
        await pipeline.engine.accept(pipeline.engine.said(text))
        await pipeline.settle()


async def trace_of(pipeline: Pipeline, row: Any) -> dict[str, Any]:
    ref = EventRef(row.lane, row.seq)
    found = await pipeline.engine.store.read(lambda it: load_trace(it, "main", ref))
    assert found is not None
    return found


async def test_a_silenced_bot_proposes_until_the_time_is_over(pipeline: Pipeline) -> None:
    await say(pipeline, "silencio", "¿el horario?")
    assert pipeline.texts() == ["Me callo una hora."]
    (waiting,) = await pipeline.engine.rows(draft)
    assert waiting.text == "De 8 a 18."

    await pipeline.pass_time(3601)
    await say(pipeline, "¿el horario?")

    assert pipeline.texts() == ["Me callo una hora.", "De 8 a 18."]


async def test_a_template_leaves_with_its_reference_and_variables(pipeline: Pipeline) -> None:
    await say(pipeline, "bienvenida")

    (item,) = await pipeline.engine.rows(outbox)
    body = json.loads(item.body) if isinstance(item.body, str) else item.body
    address = body["template"]["variables"]["1"]
    assert body["template"]["ref"] == "HX1"
    assert pipeline.texts() == [f"Hola {address}"]


async def test_a_model_is_not_shown_a_card_and_the_conversation_keeps_it(
    pipeline: Pipeline,
) -> None:
    await say(pipeline, "mi tarjeta es 4111 1111 1111 1111", "¿la ves?")

    first, second = pipeline.provider.asked
    assert first.turns[-1].text == "mi tarjeta es [card]"
    assert [turn.text for turn in second.turns if turn.role == "user"] == [
        "mi tarjeta es [card]",
        "¿la ves?",
    ]
    (event, *_) = await pipeline.engine.rows(inbox_event)
    assert (await trace_of(pipeline, event))["redact"] == ["card"]


async def test_a_rule_chooses_what_a_model_is_told_and_given(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "articles"
    for name, text in (("garantia", "La garantía dura un año."), ("otra", "Otra garantía.")):
        (folder / f"{name}.md").write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
    await refresh(pipeline.engine.store, "main", (folder,), language="es")

    await say(pipeline, "¿qué garantia hay?", "¿otra garantía qué?", "hola")

    chosen, _, usual = pipeline.provider.asked
    assert chosen.system == "You know about warranties."
    assert {passage.id.partition("#")[0] for passage in chosen.passages} == {"garantia"}
    assert usual.system != chosen.system


async def test_articles_that_a_rule_chose_are_found_among_many(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "articles"
    (folder / "garantia.md").write_text("# Cuidado\n\nHay un año de garantía.", encoding="utf-8")
    for number in range(80):
        (folder / f"otra-{number}.md").write_text("# Garantía\n\nGarantía.", encoding="utf-8")
    await refresh(pipeline.engine.store, "main", (folder,), language="es")

    await say(pipeline, "¿qué garantia hay?")

    (asked,) = pipeline.provider.asked
    assert [passage.id for passage in asked.passages] == ["garantia#1"]


async def test_of_a_long_conversation_a_model_is_shown_the_newest(pipeline: Pipeline) -> None:
    older, newer = (f"{word} {'largo ' * 750}fin" for word in ("uno", "dos"))
    await say(pipeline, older, newer, "¿y bien?")

    turns = pipeline.provider.asked[-1].turns

    assert sum(len(turn.text) for turn in turns[:-1]) == 8_000
    first, second, last = (turn.text for turn in turns if turn.role == "user")
    assert older.endswith(first)
    assert (second, last) == (newer, "¿y bien?")


@pytest.mark.parametrize("name", list(DATABASES))
async def test_articles_of_folders_that_the_settings_no_longer_name_are_not_used(
    name: str, tmp_path: Path
) -> None:
    articles = tmp_path / "articles"
    articles.mkdir()
    (articles / "garantia.md").write_text("# garantia\n\nDura un año.\n", encoding="utf-8")
    async with running(name, tmp_path, debounce="0s", rules=RULES) as pipeline:
        await refresh(pipeline.engine.store, "main", (articles,), language="es")

        await say(pipeline, "¿y la garantia?")

        (asked,) = pipeline.provider.asked
        assert asked.passages == ()


async def test_what_is_asked_while_articles_cannot_be_read_is_answered_from_those_of_before(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "articles"
    (folder / "garantia.md").write_text("# garantia\n\nDura un año.\n", encoding="utf-8")
    await refresh(pipeline.engine.store, "main", (folder,), language="es")
    pipeline.unread.add("main")

    await say(pipeline, "¿qué garantia hay?")

    (asked,) = pipeline.provider.asked
    assert [passage.text for passage in asked.passages] == ["Dura un año."]


async def test_nothing_is_answered_from_articles_that_were_never_read(pipeline: Pipeline) -> None:
    pipeline.unread.add("main")

    await say(pipeline, "¿qué garantia hay?")
    await pipeline.pass_time(60)
    assert (pipeline.provider.asked, pipeline.texts()) == ([], [])

    await pipeline.pass_time(70)
    assert (pipeline.provider.asked, pipeline.texts()) == ([], ["Lo sentimos."])
    ask = next(row for row in await pipeline.engine.rows(outbox) if row.kind == "ask")
    assert (ask.attempt, ask.error) == (
        0,
        "its articles cannot be read, so that there is nothing to answer from",
    )


async def test_a_question_is_asked_as_soon_as_its_articles_are_read(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    pipeline.unread.add("main")
    await say(pipeline, "¿qué garantia hay?")
    pipeline.unread.clear()

    await pipeline.pass_time(5)

    assert len(pipeline.provider.asked) == 1


async def test_a_price_that_no_article_states_waits_for_a_person(pipeline: Pipeline) -> None:
    pipeline.provider.answer = plugin.Completion("Cuesta $45.000.", 0.9, "INFO")

    await say(pipeline, "¿cuánto cuesta?", "¿son 45000 pesos?")

    assert pipeline.texts() == ["Cuesta $45.000."]
    (held,) = await pipeline.engine.rows(draft)
    assert held.because == "a price that no article states"


async def test_more_messages_than_a_person_writes_are_ignored(pipeline: Pipeline) -> None:
    await say(pipeline, *(f"mensaje {number}" for number in range(5)))

    rows = await pipeline.engine.rows(inbox_event)
    outcomes = [row.outcome for row in rows if row.type == "message"]
    assert outcomes == ["reply", "reply", "reply", "ignore", "ignore"]
    assert len(pipeline.provider.asked) == 3


async def test_who_asks_the_same_a_third_time_gets_a_person(pipeline: Pipeline) -> None:
    await say(pipeline, "¿Y mi pedido?", "y mi pedido", "Y MI PEDIDO!!")

    rows = await pipeline.engine.rows(inbox_event)
    assert [row.outcome for row in rows if row.type == "message"][-1] == "ticket"


async def test_a_conversation_that_falls_quiet_is_closed_with_a_word(pipeline: Pipeline) -> None:
    await say(pipeline, "¿cuánto cuesta?")
    await pipeline.pass_time(25 * 3600)

    assert pipeline.texts()[-1] == "Cerramos esta conversación."
    (thread,) = await pipeline.engine.rows(conversation)
    assert thread.status == "closed"


async def test_a_conversation_about_which_no_rule_says_anything_is_only_closed(
    pipeline: Pipeline,
) -> None:
    await say(pipeline, "¿el horario?")
    await pipeline.pass_time(25 * 3600)

    (thread,) = await pipeline.engine.rows(conversation)
    rows = await pipeline.engine.rows(inbox_event)
    assert thread.status == "closed"
    assert [row.outcome for row in rows if row.type == "timer"] == ["closed"]
    assert pipeline.texts() == ["De 8 a 18."]


async def test_what_a_rule_escalates_when_it_falls_quiet_stays_open(pipeline: Pipeline) -> None:
    await say(pipeline, "estoy triste")
    await pipeline.pass_time(25 * 3600)

    (thread,) = await pipeline.engine.rows(conversation)
    assert (thread.status, thread.owner) == ("escalated", "nobody")


async def test_a_conversation_is_answered_in_the_language_of_the_customer(
    pipeline: Pipeline,
) -> None:
    await say(pipeline, "Olá, quero as boas vindas, obrigado", "ok")

    assert pipeline.texts()[0].startswith("Olá")
    (thread,) = await pipeline.engine.rows(conversation)
    assert thread.language == "pt"
    assert pipeline.provider.asked[-1].language == "pt"


@pytest.mark.parametrize("database", list(DATABASES))
async def test_what_a_button_says_is_known_of_the_whole_turn(database: str, tmp_path: Path) -> None:
    rule = '[[rule]]\nid = "b"\nwhen = { event.metadata.button = "yes", turn.messages = 2 }\n'
    async with running(database, tmp_path, rules=f'{rule}then.reply.text = "Dos."\n') as it:
        for number, metadata in enumerate(({"button": "yes"}, {})):
            event = plugin.MessageReceived(f"B{number}", ANA, "ok", metadata=metadata)
            await it.engine.accept(it.engine.event(event))
            await it.settle()
        assert it.texts() == []
        await it.pass_time(2)

        assert it.texts() == ["Dos."]


async def test_the_stored_trace_names_every_rule(pipeline: Pipeline) -> None:
    await say(pipeline, "nada de eso")

    (event, *_) = await pipeline.engine.rows(inbox_event)
    entries = (await trace_of(pipeline, event))["triage"]
    assert {"hours", "legal", "hush", "again", "goodbye", "sad"} <= {entry[0] for entry in entries}
    assert ["goodbye", "s", "kind"] in entries
