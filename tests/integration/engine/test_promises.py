"""What people rely on: an opt-out holds, calls wait for a person, nothing ends in silence."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from router import plugin
from router.errors import ActRefused
from router.pipeline.people import acts
from router.pipeline.people.surroundings import Configured
from router.plugin.testing import RecordingLog
from router.schedule.silence import SilenceAlarm
from router.storage.tables import (
    contact,
    conversation,
    draft,
    early_report,
    inbox_event,
    link,
    outbox,
    ticket,
    timer,
)
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running

TABLES = """
[queues.default]
title = "Todos"
notify = ["pager"]
"""

RULES = """
[[guardrail]]
id = "stop"
stage = "input"
when.text.words = "stop"
then.opt_out = { say = "Listo." }
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    more = {"policy": 'while_owned = "draft"', "tables": TABLES, "rules": RULES}
    async with running(request.param, tmp_path, **more) as pipeline:
        yield pipeline


async def _say(pipeline: Pipeline, *texts: str) -> None:
    for text in texts:
        await pipeline.engine.accept(pipeline.engine.said(text))
        await pipeline.think()


async def _do(pipeline: Pipeline, act: str, **given: object) -> None:
    around = Configured(lambda: pipeline.configuration)
    await acts.perform(pipeline.engine.store, act, given, around)


async def _hours(pipeline: Pipeline, hours: float) -> None:
    await pipeline.pass_time(timedelta(hours=hours).total_seconds())


# Opting out ───────────────────────────────────────────────────────────────────────────────────


async def test_what_waits_to_be_sent_is_withdrawn_when_the_customer_opts_out(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.script = [plugin.Unavailable("busy")]
    await _say(pipeline, "horario")
    await pipeline.settle()

    await _say(pipeline, "stop")
    await pipeline.pass_time(600)

    assert pipeline.texts() == ["Listo."]
    assert await pipeline.engine.states() == {"De 8 a 18.": "withdrawn", "Listo.": "done"}


async def test_a_draft_is_thrown_away_when_the_customer_opts_out(pipeline: Pipeline) -> None:
    await _say(pipeline, "abogado", "horario")
    assert [row.state for row in await pipeline.engine.rows(draft)] == ["pending"]

    await _say(pipeline, "stop")

    row = (await pipeline.engine.rows(draft, text="De 8 a 18."))[0]
    assert row.state == "discarded"
    assert row.because.endswith("Rejected: the customer opted out")


async def test_a_customer_who_opted_out_and_writes_again_is_answered(pipeline: Pipeline) -> None:
    await _say(pipeline, "stop", "horario")
    await pipeline.settle()

    assert pipeline.texts() == ["Listo.", "De 8 a 18."]
    (row,) = await pipeline.engine.rows(contact)
    assert row.opted_out


async def test_a_refused_message_is_not_tried_again_for_who_opted_out(pipeline: Pipeline) -> None:
    pipeline.provider.script = [plugin.Refused("no such number")]
    await _say(pipeline, "horario")
    await pipeline.settle()
    await _say(pipeline, "stop")
    (item,) = await pipeline.engine.rows(outbox, state="refused")

    with pytest.raises(ActRefused) as refusal:
        await _do(pipeline, "outbox.retry", id=item.id, by="ana")

    assert str(refusal.value).endswith("is for a customer who asked for no more messages")


# Who owns the conversation ────────────────────────────────────────────────────────────────────


async def test_a_call_that_nobody_has_heard_never_returns_to_the_bot(pipeline: Pipeline) -> None:
    await _say(pipeline, "abogado")
    await pipeline.settle()
    said = pipeline.texts()

    await _hours(pipeline, 72)
    await _say(pipeline, "¿sigue ahí alguien?")
    await pipeline.pass_time(60)

    assert pipeline.texts() == said
    assert (await pipeline.engine.conversation()).owner == "nobody"


async def test_a_person_who_approves_a_draft_keeps_the_conversation(pipeline: Pipeline) -> None:
    await _say(pipeline, "hola")
    thread = (await pipeline.engine.conversation()).id
    await _do(pipeline, "conversations.take", id=thread, by="eva")
    await _say(pipeline, "horario")
    (row,) = await pipeline.engine.rows(draft, state="pending")
    await _hours(pipeline, 23)

    await _do(pipeline, "drafts.approve", id=row.id, by="eva")
    await _hours(pipeline, 2)
    await _say(pipeline, "horario")
    await pipeline.settle()

    assert pipeline.texts() == ["De 8 a 18."]


@pytest.mark.parametrize("silent", ["handback", "idle"])
async def test_a_decision_in_hand_learns_that_a_draft_was_approved(
    pipeline: Pipeline, silent: str
) -> None:
    """Who was silent for so long has just spoken: the work is done anew, and nobody is silent."""
    engine = pipeline.engine
    await _say(pipeline, "hola")
    thread = (await engine.conversation()).id
    await _do(pipeline, "conversations.take", id=thread, by="eva")
    await _say(pipeline, "horario")
    (row,) = await engine.rows(draft, state="pending")
    await _hours(pipeline, 23)
    engine.clock.advance(timedelta(hours=1, seconds=1))
    if silent == "handback":
        await engine.accept(engine.said("horario"))
    else:
        assert await engine.store.fire_timers()
    works = await engine.store.claim(100)

    await _do(pipeline, "drafts.approve", id=row.id, by="eva")
    await pipeline.work(*works)
    await pipeline.settle()

    after = await engine.conversation()
    assert (after.owner, after.status) == ("eva", "active")
    assert pipeline.texts() == ["De 8 a 18."]


# What does not arrive is told ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (plugin.OutcomeUnknown("it timed out"), "No se sabe si se envió: De 8 a 18."),
        (plugin.Refused("no such number"), "El proveedor lo rechazó: De 8 a 18."),
    ],
)
async def test_a_message_that_may_not_have_arrived_is_a_ticket_and_a_notice(
    pipeline: Pipeline, error: plugin.ProviderError, title: str
) -> None:
    pipeline.provider.script = [error]
    await _say(pipeline, "horario")
    await pipeline.settle()
    await pipeline.act("job")

    (row,) = await pipeline.engine.rows(ticket)
    assert (row.title, row.queue, row.priority) == (title, "default", "high")
    (call,) = pipeline.provider.done
    params = call.as_json()["params"]
    assert params["title"] == title
    (opens,) = await pipeline.engine.rows(link)
    assert params["url"].endswith(f"/c/{opens.secret}")
    assert opens.ticket == row.id


async def test_an_answer_of_days_ago_is_not_sent_any_more(pipeline: Pipeline) -> None:
    pipeline.provider.script = [plugin.OutcomeUnknown("it timed out")]
    await _say(pipeline, "horario")
    await pipeline.settle()
    await _say(pipeline, "¿y el horario?")
    (stuck,) = await pipeline.engine.rows(outbox, state="unknown")
    sent = pipeline.texts()

    await _hours(pipeline, 96)
    await _do(pipeline, "outbox.resolve", id=stuck.id, sent=True, by="ana")
    await pipeline.settle()

    assert pipeline.texts() == sent
    (late,) = await pipeline.engine.rows(outbox, state="dead")
    assert late.error == "it waited longer than 24 h"


@pytest.mark.parametrize("author", ["rule", "person"])
@pytest.mark.parametrize("act", ["retry", "resend"])
async def test_what_a_person_asks_for_days_later_is_tried_for_a_day(
    pipeline: Pipeline, act: str, author: str
) -> None:
    asked = {"by": "ana"} if act == "retry" else {"by": "ana", "verdict": "resend"}
    error = plugin.Refused("no") if act == "retry" else plugin.OutcomeUnknown("it timed out")
    if author == "rule":
        pipeline.provider.script = [error]
        await _say(pipeline, "horario")
    else:
        await _say(pipeline, "hola")
        await pipeline.settle()
        pipeline.provider.script = [error]
        thread = (await pipeline.engine.conversation()).id
        await _do(pipeline, "conversations.send", id=thread, text="Ya voy.", by="eva")
    await pipeline.settle()
    (row,) = await pipeline.engine.rows(outbox, kind="message", author=author)
    assert row.state == ("refused" if act == "retry" else "unknown")
    tickets = len(await pipeline.engine.rows(ticket))
    await _hours(pipeline, 72)

    pipeline.provider.script = [plugin.Unavailable("busy")]
    await _do(pipeline, "outbox." + ("retry" if act == "retry" else "resolve"), id=row.id, **asked)
    await pipeline.settle()
    (tried,) = await pipeline.engine.rows(outbox, id=row.id)
    assert (tried.state, tried.attempt) == ("waiting", 1 if act == "retry" else 2)
    await pipeline.pass_time(60)

    (done,) = await pipeline.engine.rows(outbox, id=row.id)
    assert done.state == "done"
    assert len(await pipeline.engine.rows(ticket)) == tickets


async def test_slow_models_keep_no_action_waiting(pipeline: Pipeline) -> None:
    released = anyio.Event()
    pipeline.provider.pause = released
    for number in range(200):
        who = plugin.Address("tel", f"+5730000{number:05}")
        await pipeline.engine.accept(pipeline.engine.said("¿cuánto?", who=who))
    await pipeline.think()
    pipeline.engine.clock.advance(timedelta(seconds=3))
    await pipeline.engine.store.fire_timers()
    await pipeline.think()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipeline.deliverer.run, "job")
        with anyio.fail_after(40):
            await _until(lambda: len(pipeline.provider.asked) == 128)
            await _say(pipeline, "abogado")
            await _until(lambda: bool(pipeline.provider.done))
        released.set()
        tasks.cancel_scope.cancel()

    assert len(pipeline.provider.asked) < 200


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells when a scripted provider is called
        await anyio.sleep(0.01)


# Questions that nobody waits for ──────────────────────────────────────────────────────────────


async def test_a_question_that_is_out_of_date_is_not_put(pipeline: Pipeline) -> None:
    await _say(pipeline, "¿cuánto cuesta?")
    pipeline.engine.clock.advance(timedelta(seconds=3))
    await pipeline.engine.store.fire_timers()
    await pipeline.think()
    await pipeline.engine.accept(pipeline.engine.echoed("Yo le respondo."))
    await pipeline.think()

    await pipeline.settle()

    assert pipeline.provider.asked == []
    (item,) = await pipeline.engine.rows(outbox, kind="ask")
    assert item.state == "withdrawn"
    rows = await pipeline.engine.rows(inbox_event)
    assert [row.outcome for row in rows if row.type == "timer"] == ["superseded"]


# Quiet conversations, and dead air ────────────────────────────────────────────────────────────


async def test_a_conversation_in_which_nobody_writes_is_closed(pipeline: Pipeline) -> None:
    await _say(pipeline, "horario")
    await pipeline.settle()
    await _hours(pipeline, 20)
    await _say(pipeline, "horario")
    await pipeline.settle()

    await _hours(pipeline, 5)
    assert (await pipeline.engine.conversation()).status == "active"

    await _hours(pipeline, 20)
    assert (await pipeline.engine.conversation()).status == "closed"
    assert await pipeline.engine.rows(timer) == []

    await _say(pipeline, "horario")
    assert len(await pipeline.engine.rows(conversation)) == 2


async def test_a_conversation_that_waits_for_a_person_stays_open(pipeline: Pipeline) -> None:
    await _say(pipeline, "abogado")
    await pipeline.settle()

    await _hours(pipeline, 120)

    assert (await pipeline.engine.conversation()).status == "escalated"


async def test_an_event_without_an_outcome_is_an_alarm_once(pipeline: Pipeline) -> None:
    log = RecordingLog()
    engine = pipeline.engine
    alarm = SilenceAlarm(engine.store, lambda: pipeline.configuration.settings, engine.clock, log)
    await engine.accept(engine.said("horario"))
    engine.clock.advance(timedelta(minutes=11))

    await alarm.look()
    await alarm.look()

    assert list(alarm.silent) == ["main/tel:+573001234567#1"]
    assert [entry.event for entry in log.entries] == ["no outcome for too long"]
    await pipeline.settle()
    await alarm.look()
    assert not alarm.silent


async def test_the_oldest_of_many_in_dead_air_are_named_and_the_others_counted(
    pipeline: Pipeline,
) -> None:
    log = RecordingLog()
    engine = pipeline.engine
    alarm = SilenceAlarm(engine.store, lambda: pipeline.configuration.settings, engine.clock, log)
    names = []
    for number in range(45, 0, -1):  # by their names, the oldest are the last
        who = plugin.Address("tel", f"+5730000000{number:02}")
        await engine.accept(engine.said("horario", who=who))
        engine.clock.advance(timedelta(seconds=1))
        names.append(f"main/{who}#1")
    engine.clock.advance(timedelta(minutes=11))

    await alarm.look()
    await alarm.look()

    assert list(alarm.silent) == names
    told = [entry.values for entry in log.entries]
    assert [it["ref"] for it in told[:-1]] == names[:20]
    assert told[-1]["more"] == 25
    assert told[-1]["list"].startswith("router events list --open")
    assert alarm.trouble()[:-1] == [f"silent: {name}" for name in names[:20]]
    assert alarm.trouble()[-1].startswith("silent: and 25 more (router events list --open")

    await engine.accept(engine.said("horario", who=plugin.Address("tel", "+573000000099")))
    engine.clock.advance(timedelta(minutes=11))
    await alarm.look()

    # What is new is named, however many were silent before.
    assert [it.values for it in log.entries[len(told) :]] == [{"ref": "main/tel:+573000000099#1"}]
    await pipeline.settle()
    await alarm.look()
    assert (alarm.silent, alarm.trouble()) == ((), [])


async def test_reports_of_messages_that_are_not_ours_do_not_pile_up(pipeline: Pipeline) -> None:
    engine = pipeline.engine
    for number in range(3):
        await engine.accept(engine.reported(f"foreign-{number}", "delivered"))
        await pipeline.think()
        engine.clock.advance(timedelta(days=2))

    assert [row.provider_id for row in await engine.rows(early_report)] == ["foreign-2"]


async def test_a_turn_with_a_message_that_cannot_be_read_goes_on_without_it(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "¿cuánto", "cuesta?")
    await pipeline.engine.store.write(
        lambda tx: (
            tx.connection.execute(
                inbox_event.update().where(inbox_event.c.seq == 1).values(payload="{}")
            ).rowcount
        )
    )

    await pipeline.pass_time(2)

    assert [prompt.turns[-1].text for prompt in pipeline.provider.asked] == ["cuesta?"]
    assert pipeline.texts() == ["Cuesta 5."]
