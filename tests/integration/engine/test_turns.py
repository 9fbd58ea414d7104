"""Turns: what a customer writes becomes one answer, whatever comes in between, in every order."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from router.domain.message import Author
from router.errors import OutcomeUnknown, Refused, Unavailable
from router.pipeline.ai.ask import ATTEMPTS, INTERRUPTIONS
from router.pipeline.people import acts
from router.pipeline.people.surroundings import Configured
from router.pipeline.triage.worker import MAX_ATTEMPTS, MAX_CRASHES
from router.storage.store import Work
from router.storage.stories import story
from router.storage.tables import conversation, decision, draft, inbox_event, outbox, ticket
from router.storage.tables import message as message_table
from tests.integration.engine.harness import ANA, DATABASES, Engine, ref
from tests.integration.engine.pipeline import Pipeline, running


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path) as pipeline:
        yield pipeline


@pytest.fixture(params=list(DATABASES))
async def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, debounce="0s") as pipeline:
        yield pipeline


async def _say(pipeline: Pipeline, *texts: str) -> None:
    for text in texts:
        await pipeline.engine.accept(pipeline.engine.said(text))
        await pipeline.think()


async def _outcomes(pipeline: Pipeline) -> list[str]:
    rows = await pipeline.engine.rows(inbox_event)
    return [f"{row.type}: {row.outcome}" for row in rows]


# --- waiting and asking


async def test_an_answer_is_measured_as_the_channel_counts(hasty: Pipeline) -> None:
    hasty.can("phone", max_text=8, text_unit="utf16")
    hasty.provider.answer = replace(hasty.provider.answer, text="😀😀😀😀 😀")
    await _say(hasty, "¿Cuánto cuesta?")
    await hasty.settle()

    assert hasty.texts() == ["😀😀😀😀", "😀"]


async def test_who_says_nothing_is_a_ticket_and_hears_nothing(pipeline: Pipeline) -> None:
    await _say(pipeline, "", "")
    await pipeline.pass_time(60)

    assert await _outcomes(pipeline) == ["message: ticket", "message: ignore"]
    assert len(await pipeline.engine.rows(ticket)) == 1
    assert pipeline.texts() == []
    assert pipeline.provider.asked == []


async def test_who_says_something_after_nothing_is_answered(pipeline: Pipeline) -> None:
    await _say(pipeline, "", "¿Cuánto cuesta?")
    await pipeline.pass_time(60)

    assert pipeline.texts() == ["Cuesta 5."]


async def test_a_rule_answers_at_once(pipeline: Pipeline) -> None:
    await _say(pipeline, "¿Cuál es el horario?")
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18."]
    assert await _outcomes(pipeline) == ["message: reply"]
    assert pipeline.provider.asked == []


async def test_what_would_ask_a_model_waits_until_the_customer_is_quiet(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "Hola", "¿cuánto cuesta?")
    await pipeline.settle()
    assert pipeline.provider.asked == []

    await pipeline.pass_time(2)

    (prompt,) = pipeline.provider.asked
    assert prompt.turns[-1].text == "Hola\n¿cuánto cuesta?"
    assert pipeline.texts() == ["Cuesta 5."]
    assert await _outcomes(pipeline) == [
        "message: reply",
        "message: reply",
        "timer: reply",
        "answer: reply",
    ]


async def test_each_new_message_puts_the_question_off(pipeline: Pipeline) -> None:
    for text in ("uno", "dos", "tres"):
        await _say(pipeline, text)
        await pipeline.pass_time(1.5)
    assert pipeline.provider.asked == []

    await pipeline.pass_time(0.5)

    assert pipeline.provider.asked[0].turns[-1].text == "uno\ndos\ntres"


async def test_but_not_for_ever(pipeline: Pipeline) -> None:
    for number in range(10):
        await _say(pipeline, f"{number}")
        await pipeline.pass_time(1)

    (prompt,) = pipeline.provider.asked
    assert prompt.turns[-1].text == "\n".join("0123456789")


async def test_without_a_debounce_the_message_itself_asks(hasty: Pipeline) -> None:
    await _say(hasty, "¿cuánto cuesta?")
    await hasty.settle()

    assert hasty.texts() == ["Cuesta 5."]
    assert await _outcomes(hasty) == ["message: reply", "answer: reply"]


async def test_a_rule_that_answers_in_between_leaves_the_question_open(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "¿cuánto cuesta?", "¿y el horario?")
    await pipeline.settle()
    await pipeline.pass_time(2)

    assert pipeline.texts() == ["De 8 a 18.", "Cuesta 5."]
    assert pipeline.provider.asked[0].turns[-1].text == "¿cuánto cuesta?"


async def test_an_escalation_in_between_settles_the_question(pipeline: Pipeline) -> None:
    await _say(pipeline, "¿cuánto cuesta?", "llamo a mi abogado")
    await pipeline.settle()
    await pipeline.pass_time(2)

    assert pipeline.texts() == ["Ya le escribe una persona."]
    assert await _outcomes(pipeline) == [
        "message: escalate",
        "message: escalate",
        "timer: superseded",
    ]
    thread = await pipeline.engine.conversation()
    assert (thread.owner, thread.status) == ("nobody", "escalated")


@pytest.mark.parametrize("text", ["llamo a mi abogado", "¿cuánto cuesta?"])
async def test_whoever_is_called_is_told_what_the_customer_wrote(
    pipeline: Pipeline, text: str
) -> None:
    await _say(pipeline, "Hola", "llamo a mi abogado")
    await pipeline.settle()

    (call,) = pipeline.provider.done
    params = call.params.model_dump()
    assert params["title"] == "+573001234567: amenaza legal"
    assert params["text"] == "Hola\nllamo a mi abogado"


async def test_a_classification_is_followed_by_the_question(hasty: Pipeline) -> None:
    await _say(hasty, "clasifica esto")
    await hasty.settle()

    kinds = [row.kind for row in await hasty.engine.rows(outbox)]
    assert sorted(kinds) == ["ask", "classify", "message"]
    assert await _outcomes(hasty) == ["message: reply", "answer: reply", "answer: reply"]


# --- answers that come too late


async def test_an_answer_to_a_turn_that_grew_is_superseded_and_the_whole_is_asked(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "¿cuánto cuesta?")
    pipeline.engine.clock.advance(2)
    await pipeline.engine.store.fire_timers()
    await pipeline.think()
    await _say(pipeline, "el grande")

    await pipeline.settle()
    assert pipeline.texts() == []
    await pipeline.pass_time(2)

    assert [it.turns[-1].text for it in pipeline.provider.asked] == [
        "¿cuánto cuesta?",
        "¿cuánto cuesta?\nel grande",
    ]
    assert pipeline.texts() == ["Cuesta 5."]
    assert await _outcomes(pipeline) == [
        "message: reply",
        "timer: superseded",
        "message: reply",
        "answer: superseded",
        "timer: reply",
        "answer: reply",
    ]


async def test_after_the_cap_an_answer_counts_for_what_it_saw(pipeline: Pipeline) -> None:
    await _say(pipeline, "¿cuánto cuesta?")
    pipeline.engine.clock.advance(9)
    await pipeline.engine.store.fire_timers()
    await pipeline.think()
    await _say(pipeline, "el grande")
    pipeline.engine.clock.advance(1)
    await pipeline.settle()
    assert pipeline.texts() == ["Cuesta 5."]

    await pipeline.pass_time(2)

    assert pipeline.provider.asked[-1].turns[-1].text == "el grande"
    assert pipeline.texts() == ["Cuesta 5.", "Cuesta 5."]


async def test_two_questions_under_way_bring_one_answer(hasty: Pipeline) -> None:
    await _say(hasty, "¿cuánto cuesta?", "el grande")

    await hasty.settle()

    # The first question was dropped before it was put: nobody waits for its answer.
    (prompt,) = hasty.provider.asked
    assert prompt.turns[-1].text == "¿cuánto cuesta?\nel grande"
    assert hasty.texts() == ["Cuesta 5."]
    assert await _outcomes(hasty) == [
        "message: reply",
        "message: reply",
        "answer: reply",
    ]


@pytest.mark.parametrize("echo_first", [True, False], ids=["echo, answer", "answer, echo"])
async def test_after_a_persons_echo_no_answer_is_sent(hasty: Pipeline, echo_first: bool) -> None:
    engine = hasty.engine
    await _say(hasty, "¿cuánto cuesta?")
    echo = engine.echoed("Hola, soy Eva. Cuesta 7.")
    if echo_first:
        await engine.accept(echo)
        await hasty.act("job")
    else:
        await hasty.act("job")
        await engine.accept(echo)
    await hasty.settle()

    assert hasty.texts() == []
    assert (await engine.conversation()).owner == "person"
    assert None not in await engine.outcomes()
    assert "waiting" not in await engine.outcomes()
    assert "asking" not in await engine.outcomes()


async def test_an_echo_during_the_debounce_settles_the_turn(pipeline: Pipeline) -> None:
    engine = pipeline.engine
    await _say(pipeline, "¿cuánto cuesta?")
    await engine.accept(engine.echoed("Hola, soy Eva. Cuesta 7."))
    await pipeline.settle()
    await pipeline.pass_time(2)

    assert pipeline.provider.asked == []
    assert (await _outcomes(pipeline))[0] != "message: waiting"


@pytest.mark.parametrize("asked", [False, True], ids=["waits", "asked"])
@pytest.mark.parametrize(
    ("act", "why"),
    [("send", "eva wrote to the customer"), ("close", "eva closed the conversation")],
)
async def test_a_turn_that_a_person_ends_at_the_desk_says_so(
    pipeline: Pipeline, act: str, why: str, *, asked: bool
) -> None:
    engine = pipeline.engine
    await _say(pipeline, "¿cuánto cuesta?", "¿y el envío?")
    if asked:
        engine.clock.advance(timedelta(seconds=3))
        await engine.store.fire_timers()
        await pipeline.think()
    text = {"text": "Cuesta 7."} if act == "send" else {}
    given = {"id": (await engine.conversation()).id, "by": "eva", **text}
    around = Configured(lambda: pipeline.configuration)
    await acts.perform(engine.store, f"conversations.{act}", given, around)
    for _ in range(3):
        await pipeline.pass_time(60)

    assert (await _outcomes(pipeline))[:2] == ["message: superseded"] * 2
    assert not {"waiting", "asking", None}.intersection(await engine.outcomes())
    assert pipeline.texts() == list(text.values())
    for number in (1, 2):
        told = await engine.store.read(partial(story, tenant="main", id=str(ref(number))))
        assert told.decision is not None
        assert told.decision.because == why
        assert told.trace is not None
        assert told.trace["steps"][-1] == f"superseded: {why}"


async def test_a_bot_answer_that_waits_is_withdrawn_by_an_echo(hasty: Pipeline) -> None:
    engine = hasty.engine
    await _say(hasty, "¿cuánto cuesta?")
    await hasty.act("job")
    await hasty.think()
    assert await engine.states() == {"Cuesta 5.": "waiting"}

    await engine.accept(engine.echoed("Hola, soy Eva."))
    await hasty.settle()

    assert await engine.states() == {"Cuesta 5.": "withdrawn"}
    assert hasty.texts() == []


@pytest.mark.parametrize("database", list(DATABASES))
@pytest.mark.parametrize(
    "policy, drafts",
    [("", []), ('while_owned = "draft"', ["De 8 a 18.", "Cuesta 5."])],
)
async def test_while_a_person_owns_it_an_answer_becomes_a_draft_where_that_is_wanted(
    tmp_path: Path, database: str, policy: str, drafts: list[str]
) -> None:
    async with running(database, tmp_path, debounce="0s", policy=policy) as pipeline:
        engine = pipeline.engine
        await engine.accept(engine.echoed("Hola, soy Eva."))
        await _say(pipeline, "¿cuál es el horario?")
        await pipeline.settle()
        await _say(pipeline, "¿cuánto cuesta?")
        await pipeline.settle()

        assert pipeline.texts() == []
        assert sorted(row.text for row in await engine.rows(draft)) == sorted(drafts)
        assert len(pipeline.provider.asked) == (1 if drafts else 0)


async def test_nobody_asks_a_model_after_an_escalation(hasty: Pipeline) -> None:
    await _say(hasty, "llamo a mi abogado")
    await hasty.settle()
    await _say(hasty, "¿cuánto cuesta?", "clasifica esto")
    await hasty.settle()

    assert hasty.texts() == ["Ya le escribe una persona."]
    assert hasty.provider.asked == []
    assert await hasty.engine.rows(draft) == []
    assert await _outcomes(hasty) == ["message: escalate", "message: ignore", "message: ignore"]


async def test_a_restart_between_any_two_steps_changes_nothing(pipeline: Pipeline) -> None:
    engine = pipeline.engine
    await engine.accept(engine.said("¿cuánto cuesta?"))
    await pipeline.crash()
    await pipeline.think()
    await pipeline.crash()
    engine.clock.advance(2)
    await engine.store.fire_timers()
    await pipeline.crash()
    await pipeline.think()
    await pipeline.crash()
    await pipeline.act("job")
    await pipeline.crash()
    await pipeline.think()
    await pipeline.crash()
    await pipeline.settle()

    assert pipeline.texts() == ["Cuesta 5."]
    assert await _outcomes(pipeline) == ["message: reply", "timer: reply", "answer: reply"]


# --- failing for good


async def test_a_backend_that_fails_for_good_is_an_apology_and_a_ticket_once(
    hasty: Pipeline,
) -> None:
    hasty.provider.script = [Unavailable("down")] * ATTEMPTS
    await _say(hasty, "¿cuánto cuesta?")
    for _ in range(ATTEMPTS + 2):
        await hasty.pass_time(60)

    assert len(hasty.provider.asked) == ATTEMPTS
    assert hasty.texts() == ["Lo sentimos."]
    (opened,) = await hasty.engine.rows(ticket)
    assert opened.title == "¿cuánto cuesta?"
    assert await _outcomes(hasty) == ["message: ticket", "answer: ticket"]


async def test_a_backend_that_refuses_is_not_asked_again(hasty: Pipeline) -> None:
    hasty.provider.script = [Refused("wrong key")]
    await _say(hasty, "¿cuánto cuesta?")
    await hasty.settle()

    assert len(hasty.provider.asked) == 1
    assert hasty.texts() == ["Lo sentimos."]


@pytest.mark.parametrize("hours", [3, 20])
async def test_a_backend_that_says_to_come_back_in_hours_is_not_waited_for(
    hasty: Pipeline, hours: int
) -> None:
    hasty.provider.script = [Unavailable("no quota", code="429", retry_after=hours * 3600.0)]
    await _say(hasty, "¿cuánto cuesta hoy?")
    await hasty.settle()

    assert hasty.texts() == ["Lo sentimos."]
    assert len(await hasty.engine.rows(ticket)) == 1

    await hasty.pass_time(hours * 3600)
    assert len(hasty.provider.asked) == 1


async def test_a_question_around_which_the_process_dies_each_time_ends(hasty: Pipeline) -> None:
    await _say(hasty, "¿cuánto cuesta?")
    for _ in range(INTERRUPTIONS):
        assert await hasty.engine.store.start_attempt(await hasty.engine.claim_item("job"))
        await hasty.crash()

    await hasty.settle()

    assert hasty.provider.asked == []
    assert hasty.texts() == ["Lo sentimos."]


def _poison(text: str) -> object:
    def poison(work: Work) -> None:
        if getattr(work.event, "text", "") == text:
            raise ZeroDivisionError(text)

    return poison


async def test_an_event_that_cannot_be_worked_is_apologised_for_once(
    hasty: Pipeline,
) -> None:
    hasty.poison = _poison("veneno")  # type: ignore[assignment]
    engine = hasty.engine
    await engine.accept(engine.said("veneno"), engine.said("¿cuál es el horario?"))
    await hasty.settle()
    assert await engine.outcomes() == [None, None]

    for _ in range(MAX_ATTEMPTS):
        await hasty.pass_time(60)

    rows = await engine.rows(inbox_event)
    assert [(row.outcome, row.dead_error) for row in rows] == [
        ("dead", "ZeroDivisionError: veneno"),
        ("reply", None),
    ]
    assert hasty.texts() == ["Lo sentimos.", "De 8 a 18."]
    (opened,) = await engine.rows(ticket)
    assert opened.title == "veneno"
    lines = [row.text for row in await engine.rows(message_table) if row.direction == "in"]
    assert sorted(lines) == ["veneno", "¿cuál es el horario?"]


async def test_a_broken_report_is_a_dead_letter_and_nobody_is_apologised_to(
    hasty: Pipeline,
) -> None:
    engine = hasty.engine
    await _say(hasty, "¿cuál es el horario?")
    await hasty.settle()

    def poison(work: Work) -> None:
        if work.event.kind == "delivery":
            raise ZeroDivisionError

    hasty.poison = poison
    await engine.accept(engine.reported("SM1", "delivered"))
    for _ in range(MAX_ATTEMPTS):
        await hasty.pass_time(60)

    assert (await _outcomes(hasty))[-1] == "delivery: dead"
    assert hasty.texts() == ["De 8 a 18."]
    assert await engine.rows(ticket) == []


async def test_an_event_around_which_the_process_dies_again_and_again_is_apologised_for(
    hasty: Pipeline,
) -> None:
    engine = hasty.engine
    await engine.accept(engine.said("veneno"))
    await engine.accept(engine.said("¿cuál es el horario?", who=replace(ANA, value="+57300")))
    await engine.claim()
    await hasty.crash()
    for _ in range(MAX_CRASHES - 1):
        works = {getattr(work.event, "text", ""): work for work in await engine.claim()}
        await engine.store.suspect(works["veneno"])
        await hasty.crash()

    await hasty.settle()

    outcomes = {row.lane: row.outcome for row in await engine.rows(inbox_event)}
    assert outcomes == {"main/tel:+57300": "reply", f"main/{ANA}": "dead"}
    assert sorted(hasty.texts()) == ["De 8 a 18.", "Lo sentimos."]


# --- sending, with its outcomes


async def test_unavailable_is_tried_again_in_its_order(pipeline: Pipeline) -> None:
    pipeline.provider.script = [Unavailable("busy", retry_after=30)]
    await _say(pipeline, "horario", "horario por favor")
    await pipeline.settle()
    assert pipeline.texts() == []

    await pipeline.pass_time(29)
    assert pipeline.texts() == []
    await pipeline.pass_time(1)

    assert [row.attempt for row in await pipeline.engine.rows(outbox)] == [2, 1]
    assert len(pipeline.texts()) == 2


async def test_a_message_is_tried_for_a_day_and_not_longer(pipeline: Pipeline) -> None:
    pipeline.provider.script = [Unavailable("busy")] * 10_000
    await _say(pipeline, "horario")

    for _ in range(23):
        await pipeline.pass_time(3600)
        (row,) = await pipeline.engine.rows(outbox)
        assert row.state == "waiting"
    await pipeline.pass_time(3600)

    (row,) = await pipeline.engine.rows(outbox)
    assert (row.state, row.error) == ("dead", "busy")
    assert pipeline.texts() == []


async def test_a_lost_connection_parks_the_message_for_a_person(pipeline: Pipeline) -> None:
    pipeline.provider.script = [OutcomeUnknown("lost")]
    await _say(pipeline, "horario", "horario")
    await pipeline.settle()
    await pipeline.pass_time(3600)

    assert [row.state for row in await pipeline.engine.rows(outbox)] == ["unknown", "waiting"]
    assert len(pipeline.texts()) == 1


async def test_any_other_exception_of_a_plugin_is_an_unknown_outcome(pipeline: Pipeline) -> None:
    pipeline.provider.script = [ZeroDivisionError()]
    await _say(pipeline, "horario")
    await pipeline.settle()

    assert [row.state for row in await pipeline.engine.rows(outbox)] == ["unknown"]


async def test_a_crash_while_sending_repeats_nothing(pipeline: Pipeline) -> None:
    await _say(pipeline, "horario")
    assert await pipeline.engine.store.start_attempt(await pipeline.engine.claim_item())
    await pipeline.crash()
    await pipeline.settle()

    assert [row.state for row in await pipeline.engine.rows(outbox)] == ["unknown"]
    assert pipeline.texts() == []


async def test_a_channel_that_is_told_to_resends_what_is_unknown(pipeline: Pipeline) -> None:
    engine = pipeline.engine
    pipeline.provider.script = [OutcomeUnknown("lost")]
    await engine.accept(engine.said("horario", channel="patient"))
    await pipeline.settle()
    await pipeline.pass_time(59)
    (row,) = await engine.rows(outbox, kind="message")
    assert row.state == "unknown"

    await pipeline.pass_time(1)

    (row,) = await engine.rows(outbox, kind="message")
    assert (row.state, row.attempt) == ("done", 2)


async def test_a_proof_that_comes_before_the_resending_prevents_it(pipeline: Pipeline) -> None:
    engine = pipeline.engine
    pipeline.provider.script = [OutcomeUnknown("lost")]
    await engine.accept(engine.said("horario", channel="patient"))
    await pipeline.settle()
    (row,) = await engine.rows(outbox, kind="message")
    report = engine.reported("SM1", "delivered", item=row.id, channel="patient")
    await engine.accept(report)
    await pipeline.settle()
    await pipeline.pass_time(60)

    assert {row.state for row in await engine.rows(outbox)} == {"done"}
    (row,) = await engine.rows(outbox, kind="message")
    assert (row.state, row.attempt) == ("done", 1)
    assert len(pipeline.texts()) == 1


async def test_an_unknown_action_waits_for_a_person(pipeline: Pipeline) -> None:
    pipeline.provider.script = [OutcomeUnknown("lost")]
    await _say(pipeline, "abogado")
    await pipeline.act("job")
    await pipeline.pass_time(3600)

    states = {row.kind: row.state for row in await pipeline.engine.rows(outbox)}
    assert states == {"action": "unknown", "message": "done"}
    assert len(pipeline.provider.done) == 1


# --- what is written


async def test_each_event_has_one_decision_at_most(pipeline: Pipeline) -> None:
    await _say(pipeline, "¿cuánto cuesta?", "horario")
    await pipeline.pass_time(2)

    rows = await pipeline.engine.rows(decision)
    assert [(row.seq, row.outcome) for row in rows] == [
        (1, "ignore"),
        (2, "reply"),
        (3, "ignore"),
        (4, "reply"),
    ]
    thread = await pipeline.engine.conversation()
    assert (thread.turn_from, thread.pending_ask, thread.bot_turns) == (None, None, 1)


async def test_what_is_parsed_by_no_version_is_a_dead_letter(pipeline: Pipeline) -> None:
    engine: Engine = pipeline.engine
    await engine.accept(engine.said("uno"))
    await engine.restart()
    pipeline.build()
    await engine.store.write(
        lambda tx: tx.connection.execute(inbox_event.update().values(payload=json.dumps({})))
    )
    await pipeline.settle()

    (row,) = await engine.rows(inbox_event)
    assert row.outcome == "dead"
    assert "cannot be read" in row.dead_error


async def test_authors_are_kept(pipeline: Pipeline) -> None:
    await _say(pipeline, "¿cuánto cuesta?", "horario")
    await pipeline.pass_time(2)

    authors = {row.author for row in await pipeline.engine.rows(outbox) if row.kind == "message"}
    assert authors == {Author.BOT, Author.RULE}
    assert len(await pipeline.engine.rows(conversation)) == 1
