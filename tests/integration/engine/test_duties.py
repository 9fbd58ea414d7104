"""The duties towards a conversation: kept whoever comes in between, and whenever a process dies."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from router import plugin
from router.errors import Unavailable
from router.pipeline.ai.ask import ATTEMPTS
from router.pipeline.instances.configuration import Configuration
from router.pipeline.instances.elsewhere import GRACE
from router.pipeline.instances.instances import Instances
from router.pipeline.people import acts
from router.pipeline.people.surroundings import Configured
from router.pipeline.triage.worker import MAX_ATTEMPTS
from router.plugin.testing import RecordingLog
from router.schedule.silence import SilenceAlarm
from router.storage.store import Work
from router.storage.tables import conversation, draft, inbox_event, outbox, ticket, timer
from tests.integration.engine.harness import DATABASES
from tests.integration.engine.pipeline import Pipeline, running

TABLES = """
[queues.default]
title = "Todos"
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
    async with running(request.param, tmp_path, tables=TABLES, rules=RULES) as pipeline:
        yield pipeline


@pytest.fixture(params=list(DATABASES))
async def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    policy = 'while_owned = "draft"'
    more = {"debounce": "0s", "policy": policy, "tables": TABLES, "rules": RULES}
    async with running(request.param, tmp_path, **more) as pipeline:
        yield pipeline


Pause = Callable[[], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["", "dying at each step"])
def dying(request: pytest.FixtureRequest) -> bool:
    """Whether the process dies between any two steps."""
    return bool(request.param)


async def _go_on() -> None:
    """Let nothing happen between two steps."""


async def _say(pipeline: Pipeline, text: str, pause: Pause = _go_on) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pause()
    await pipeline.think()
    await pause()


async def _do(pipeline: Pipeline, act: str, **given: object) -> None:
    around = Configured(lambda: pipeline.configuration)
    await acts.perform(pipeline.engine.store, act, given, around)


async def _settle(pipeline: Pipeline, pause: Pause = _go_on) -> None:
    """Do what can be done, a step at a time."""
    while True:
        await pipeline.think()
        await pause()
        await pipeline.act("job")
        await pause()
        await pipeline.act("out")
        await pause()
        if not await pipeline.waits("in") and not await pipeline.waits("job"):
            return


async def _later(pipeline: Pipeline, pause: Pause = _go_on, **much: float) -> None:
    pipeline.engine.clock.advance(timedelta(**much))
    while await pipeline.engine.store.fire_timers():
        await pause()
    await _settle(pipeline, pause)


async def _thread(pipeline: Pipeline) -> str:
    return str((await pipeline.engine.conversation()).id)


async def _settled(pipeline: Pipeline) -> bool:
    """Tell whether nobody waits for anything any more."""
    rows = await pipeline.engine.rows(inbox_event)
    open_ = [row for row in rows if row.outcome in (None, "waiting", "asking")]
    thread = await pipeline.engine.conversation()
    return not open_ and thread.turn_from is None and thread.pending_ask is None


# Turns ────────────────────────────────────────────────────────────────────────────────────────


async def test_without_a_debounce_who_goes_on_writing_is_answered_after_the_cap(
    hasty: Pipeline, dying: bool
) -> None:
    pause = hasty.crash if dying else _go_on
    clock = hasty.engine.clock
    await _say(hasty, "uno", pause)
    clock.advance(timedelta(seconds=4))
    await _say(hasty, "dos", pause)
    clock.advance(timedelta(seconds=7))
    await _say(hasty, "tres", pause)
    clock.advance(timedelta(seconds=7))
    await _say(hasty, "cuatro", pause)

    # The model has taken its time all along.
    await _later(hasty, pause)
    await _later(hasty, pause)

    assert [it.turns[-1].text for it in hasty.provider.asked] == ["uno\ndos", "tres\ncuatro"]
    assert hasty.texts() == ["Cuesta 5.", "Cuesta 5."]
    assert await _settled(hasty)


async def test_who_writes_on_while_a_slow_model_thinks_is_answered_after_the_cap(
    pipeline: Pipeline, dying: bool
) -> None:
    pause = pipeline.crash if dying else _go_on
    engine = pipeline.engine
    await _say(pipeline, "uno", pause)
    for text in ("dos", "tres", "cuatro"):
        # The question is out, and its answer never there before the next message.
        engine.clock.advance(timedelta(seconds=6))
        await engine.store.fire_timers()
        await pipeline.think()
        await pause()
        await _say(pipeline, text, pause)
    engine.clock.advance(timedelta(seconds=1))
    await _settle(pipeline, pause)

    asked = [it.turns[-1].text for it in pipeline.provider.asked]
    assert asked == ["uno"]
    assert pipeline.texts() == ["Cuesta 5."]
    await _later(pipeline, pause, seconds=2)
    assert pipeline.provider.asked[-1].turns[-1].text == "dos\ntres\ncuatro"
    assert pipeline.texts() == ["Cuesta 5.", "Cuesta 5."]
    assert await _settled(pipeline)


async def test_a_question_of_before_an_opt_out_is_not_answered_after_it(hasty: Pipeline) -> None:
    await _say(hasty, "¿cuánto cuesta?")
    await _say(hasty, "stop")
    await _later(hasty)
    await _later(hasty, seconds=60)

    assert hasty.texts() == ["Listo."]
    assert await _settled(hasty)


# Handing over and back ────────────────────────────────────────────────────────────────────────


async def test_an_answer_from_before_a_takeover_is_not_sent_after_it_was_handed_back(
    hasty: Pipeline, dying: bool
) -> None:
    pause = hasty.crash if dying else _go_on
    await _say(hasty, "¿cuánto cuesta?", pause)
    item = await hasty.engine.claim_item("job")
    thread = await _thread(hasty)

    async def meanwhile() -> None:
        await _do(hasty, "conversations.take", id=thread, by="eva")
        await _do(hasty, "conversations.release", id=thread)

    await meanwhile()
    hasty.provider.answer = plugin.Completion("Vieja.", confidence=0.9, category="INFO")
    await hasty.do(item)
    await pause()
    hasty.provider.answer = plugin.Completion("Nueva.", confidence=0.9, category="INFO")
    await hasty.think()
    await pause()
    await _later(hasty, pause)

    assert hasty.texts() == ["Nueva."]
    rows = await hasty.engine.rows(inbox_event, type="answer")
    assert [row.outcome for row in rows] == ["superseded", "reply"]
    assert await _settled(hasty)


async def test_an_answer_that_comes_after_a_takeover_is_no_more_than_a_draft(
    hasty: Pipeline, dying: bool
) -> None:
    pause = hasty.crash if dying else _go_on
    await _say(hasty, "¿cuánto cuesta?", pause)
    thread = await _thread(hasty)
    await _do(hasty, "conversations.take", id=thread, by="eva")
    await pause()
    await _settle(hasty, pause)
    await _later(hasty, pause)

    assert hasty.texts() == []
    rows = await hasty.engine.rows(draft)
    assert [row.text for row in rows] == ["Cuesta 5."]
    assert await _settled(hasty)


async def test_an_event_that_is_being_worked_while_it_is_handed_back_is_decided_for_the_bot(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "abogado")
    await pipeline.settle()
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    works = await pipeline.engine.claim()

    await _do(pipeline, "conversations.release", id=await _thread(pipeline))
    await pipeline.work(*works)
    await pipeline.settle()

    assert pipeline.texts() == ["Ya le escribe una persona.", "De 8 a 18."]
    assert [row.text for row in await pipeline.engine.rows(draft)] == []


async def test_an_escalation_decided_while_it_is_handed_back_leaves_the_bot_silent(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "hola")
    thread = await _thread(pipeline)
    await _do(pipeline, "conversations.take", id=thread, by="eva")
    await pipeline.engine.accept(pipeline.engine.said("abogado"))
    works = await pipeline.engine.claim()

    await _do(pipeline, "conversations.release", id=thread)
    await pipeline.work(*works)
    await pipeline.settle()

    row = await pipeline.engine.conversation()
    assert (row.owner, row.status) == ("nobody", "escalated")


async def test_what_a_rule_said_before_it_was_handed_back_still_leaves(pipeline: Pipeline) -> None:
    pipeline.provider.script = [Unavailable("busy", retry_after=30)]
    await _say(pipeline, "abogado")
    await pipeline.act("out")

    await _do(pipeline, "conversations.release", id=await _thread(pipeline))
    await _later(pipeline, seconds=31)

    assert pipeline.texts() == ["Ya le escribe una persona."]


async def test_what_is_in_a_senders_hands_while_it_is_handed_back_still_leaves(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "abogado")
    item = await pipeline.engine.claim_item()

    await _do(pipeline, "conversations.release", id=await _thread(pipeline))
    await pipeline.do(item)

    assert pipeline.texts() == ["Ya le escribe una persona."]


async def test_our_own_echo_is_known_by_whoever_comes_after_the_one_that_sent(
    pipeline: Pipeline, dying: bool
) -> None:
    pause = pipeline.crash if dying else _go_on
    engine = pipeline.engine
    await _say(pipeline, "horario", pause)
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    await pipeline.crash()

    await engine.accept(engine.echoed("de 8 a 18."))
    await pause()
    await _settle(pipeline, pause)

    thread = await engine.conversation()
    assert (thread.owner, thread.epoch) == ("bot", 0)
    assert [row.state for row in await engine.rows(outbox)] == ["done"]
    assert pipeline.texts() == []  # the one that died had sent it


# Quiet conversations ──────────────────────────────────────────────────────────────────────────


async def test_a_quiet_conversation_is_closed_whoever_died_meanwhile(
    pipeline: Pipeline, dying: bool
) -> None:
    pause = pipeline.crash if dying else _go_on
    await _say(pipeline, "horario", pause)
    await _later(pipeline, pause, hours=13)
    await _say(pipeline, "horario", pause)
    await _later(pipeline, pause, hours=12)
    assert (await pipeline.engine.conversation()).status == "active"

    await _later(pipeline, pause, hours=12)

    assert (await pipeline.engine.conversation()).status == "closed"
    assert await pipeline.engine.rows(timer) == []


async def test_a_conversation_whose_closing_broke_is_looked_at_again_and_nobody_is_told(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "horario")
    await pipeline.settle()

    def poison(work: Work) -> None:
        if work.event.kind == "timer":
            raise ZeroDivisionError

    pipeline.poison = poison
    await _later(pipeline, hours=25)
    for _ in range(MAX_ATTEMPTS):
        await _later(pipeline, minutes=5)
    assert (await pipeline.engine.rows(inbox_event, type="timer"))[0].outcome == "dead"
    pipeline.poison = lambda _work: None

    await _later(pipeline, hours=25)

    assert pipeline.texts() == ["De 8 a 18."]
    assert await pipeline.engine.rows(ticket) == []
    assert (await pipeline.engine.conversation()).status == "closed"


async def test_a_person_who_is_silent_gives_back_the_conversation_that_stays_open(
    pipeline: Pipeline,
) -> None:
    await _say(pipeline, "abogado")
    await pipeline.settle()
    thread = await _thread(pipeline)
    await _do(pipeline, "conversations.take", id=thread, by="eva")
    await _later(pipeline, hours=23)
    await _say(pipeline, "¿sigue ahí?")
    await _later(pipeline, seconds=3)

    await _later(pipeline, hours=2)

    row = await pipeline.engine.conversation()
    # Whatever the idle timer found, the two columns never contradict each other.
    assert (row.owner, row.status) in {("eva", "escalated"), ("bot", "active")}


# Failing for good ─────────────────────────────────────────────────────────────────────────────


async def test_a_backend_that_fails_for_good_is_apologised_for_once_whoever_died(
    hasty: Pipeline, dying: bool
) -> None:
    pause = hasty.crash if dying else _go_on
    hasty.provider.script = [Unavailable("down")] * ATTEMPTS
    await _say(hasty, "¿cuánto cuesta?", pause)
    for _ in range(ATTEMPTS + 2):
        await _later(hasty, pause, minutes=1)

    assert hasty.texts() == ["Lo sentimos."]
    assert len(await hasty.engine.rows(ticket)) == 1
    assert await _settled(hasty)


async def test_an_answer_that_cannot_be_worked_is_apologised_for_once(
    hasty: Pipeline, dying: bool
) -> None:
    pause = hasty.crash if dying else _go_on

    def poison(work: Work) -> None:
        if work.event.kind == "answer":
            raise ZeroDivisionError

    hasty.poison = poison
    await _say(hasty, "¿cuánto cuesta?", pause)
    for _ in range(MAX_ATTEMPTS + 2):
        await _later(hasty, pause, minutes=1)

    assert hasty.texts() == ["Lo sentimos."]
    (opened,) = await hasty.engine.rows(ticket)
    assert opened.title == "¿cuánto cuesta?"
    assert await _settled(hasty)


async def test_an_answer_that_nobody_waits_for_and_that_breaks_is_no_reason_to_apologise(
    hasty: Pipeline,
) -> None:
    engine = hasty.engine
    await _say(hasty, "uno")
    await hasty.act("job")
    await engine.accept(engine.echoed("Yo le respondo."))

    def poison(work: Work) -> None:
        if work.event.kind == "answer":
            raise ZeroDivisionError

    # The echo is worked before the answer, as it is when the answer is tried again.
    works = await engine.claim()
    await engine.store.release(works)
    hasty.poison = poison
    await engine.store.write(
        lambda tx: (
            tx.connection.execute(
                sa.update(conversation).values(pending_ask=None, turn_from=None)
            ).rowcount
        )
    )
    await hasty.crash()
    for _ in range(MAX_ATTEMPTS + 2):
        await _later(hasty, minutes=1)

    assert hasty.texts() == []
    assert await engine.rows(ticket) == []


async def test_what_waits_for_a_tenant_that_is_gone_ends_and_is_not_tried_for_ever(
    pipeline: Pipeline,
) -> None:
    await pipeline.engine.accept(pipeline.engine.said("horario"))
    await pipeline.think()
    old = pipeline.configuration
    settings = replace(old.settings, tenants={})
    pipeline.configuration = Configuration(
        settings, Instances(settings, pipeline.engine.clock, pipeline.log)
    )
    pipeline.engine.clock.advance(GRACE)  # for so long another node may know it

    await pipeline.do(await pipeline.engine.claim_item())

    assert await pipeline.engine.states() == {"De 8 a 18.": "refused"}
    (row,) = await pipeline.engine.rows(ticket)
    assert row.title == "The provider refused it: De 8 a 18."


# Dead air ─────────────────────────────────────────────────────────────────────────────────────


def _alarm(pipeline: Pipeline) -> SilenceAlarm:
    settings = pipeline.configuration.settings
    return SilenceAlarm(
        pipeline.engine.store, lambda: settings, pipeline.engine.clock, RecordingLog()
    )


async def test_a_question_whose_answer_never_comes_is_dead_air(
    hasty: Pipeline, dying: bool
) -> None:
    pause = hasty.crash if dying else _go_on
    await _say(hasty, "¿cuánto cuesta?", pause)
    hasty.engine.clock.advance(timedelta(minutes=9))
    alarm = _alarm(hasty)
    await alarm.look()
    assert alarm.silent == ()

    hasty.engine.clock.advance(timedelta(minutes=2))
    await pause()
    alarm = _alarm(hasty)
    await alarm.look()
    assert alarm.silent == ("main/tel:+573001234567#1",)

    await _settle(hasty, pause)
    alarm = _alarm(hasty)
    await alarm.look()
    assert alarm.silent == ()


async def test_a_turn_that_lost_its_timer_is_dead_air(pipeline: Pipeline) -> None:
    await _say(pipeline, "¿cuánto cuesta?")
    await pipeline.engine.store.write(
        lambda tx: tx.connection.execute(sa.delete(timer).where(timer.c.kind == "turn")).rowcount
    )
    pipeline.engine.clock.advance(timedelta(minutes=11))

    alarm = _alarm(pipeline)
    await alarm.look()

    assert alarm.silent == ("main/tel:+573001234567#1",)


async def test_an_event_that_fails_again_and_again_is_dead_air(pipeline: Pipeline) -> None:
    engine = pipeline.engine
    await engine.accept(engine.said("horario"))
    work = await engine.claim_one()
    engine.clock.advance(timedelta(minutes=11))
    await engine.store.fail(work, "broken", engine.clock.now() + timedelta(minutes=5))

    alarm = _alarm(pipeline)
    await alarm.look()

    assert alarm.silent == ("main/tel:+573001234567#1",)
