"""A call that is over joins its customer's thread, once, and is followed up at most once."""

import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.pipeline.replay.deciding import Replayer
from router.storage.calls import calls_of, show_call
from router.storage.decisions import load_trace
from router.storage.recordings import recorded
from router.storage.stats import Scope
from router.storage.store import EventRef, NewEvent
from router.storage.tables import call, contact, conversation, inbox_event, outbox, ticket
from router.storage.variants import count_variants
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

TABLES = """
[channels.whatsapp]
type = "ledger"

[channels.calls]
type = "ledger"
"""

RULES = """
[template.seguimiento]
ref = { es = "HX1", pt = "HX2" }
text = { es = "Hola {{1}}. Hablamos de: {{2}}", pt = "Olá {{1}}: {{2}}" }

[[rule]]
id = "reported-by-calls"
on = "call.ended"
channels = ["calls"]
then.tag = "llamada"

[[rule]]
id = "bare"
on = "call.ended"
when.call.summary.words = "sin plantilla"
then.message = { channel = "whatsapp", text = "Hola." }

[[rule]]
id = "angry"
on = "call.ended"
when.call.customer.words = "abogado"
then.escalate = { to = "legal", because = "amenaza en la llamada" }

[[rule]]
id = "choose"
on = "call.ended"
when.call.data.plan = "ab"
[rule.then.message]
channel = "whatsapp"
variants = [
    { name = "corta", text = "Hola, seguimos por aquí." },
    { name = "larga", text = "Hola {{ contact.name }}, gracias por la llamada." },
]

[[rule]]
id = "follow-up"
on = "call.ended"
when.call.outcome = "success"
then.set.category = "INFO"
then.message.channel = "whatsapp"
then.message.text = "Hola {{ contact.name }}, sobre «{{ call.summary }}»: ¿seguimos?"
then.message.template = "seguimiento"
then.message.variables = { 1 = "{{ contact.name }}", 2 = "{{ call.summary }}" }

[[rule]]
id = "unreached"
on = "call.failed"
then.tag = "sin-contacto"
"""

CALL = plugin.CallEnded(
    id="conv_1",
    party=ANA,
    outcome="success",
    summary="Quiere la factura\nde marzo",
    duration=timedelta(seconds=58),
    name="Ana",
    transcript=(
        plugin.CallTurn("agent", "Hola, ¿en qué ayudo?", timedelta(0)),
        plugin.CallTurn("customer", "La factura, por favor", timedelta(seconds=3)),
    ),
    data={"pedido": "A-17"},
    agent="agent_1",
)


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, tables=TABLES, rules=RULES) as pipeline:
        pipeline.can("whatsapp", window=timedelta(hours=24))
        yield pipeline


def reported(pipeline: Pipeline, event: plugin.CallEnded = CALL, *, by: str = "calls") -> NewEvent:
    return pipeline.engine.event(event, channel=by)


async def end(pipeline: Pipeline, event: plugin.CallEnded = CALL, *, by: str = "calls") -> None:
    await pipeline.engine.accept(reported(pipeline, event, by=by))
    await pipeline.settle()


async def write(pipeline: Pipeline, text: str, channel: str = "whatsapp", **more: Any) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text, channel=channel, **more))
    await pipeline.settle()


async def bodies(pipeline: Pipeline) -> list[dict[str, Any]]:
    rows = await pipeline.engine.rows(outbox, kind="message")
    return [json.loads(row.body) for row in sorted(rows, key=lambda row: (row.lane, row.seq))]


async def trace_of(pipeline: Pipeline, seq: int = 1) -> dict[str, Any]:
    ref = EventRef(f"main/{ANA}", seq)
    trace = await pipeline.engine.store.read(lambda it: load_trace(it, "main", ref))
    assert trace is not None
    return dict(trace)


async def test_a_call_of_somebody_unknown_opens_a_conversation_and_is_followed_up_by_template(
    pipeline: Pipeline,
) -> None:
    await end(pipeline)

    (thread,) = await pipeline.engine.rows(conversation)
    (body,) = await bodies(pipeline)
    assert (thread.source, thread.channel, thread.address) == ("post_call", "whatsapp", str(ANA))
    assert body["template"] == {"ref": "HX1", "variables": {"1": "Ana", "2": CLEAN}}
    assert pipeline.texts() == ["Hola Ana. Hablamos de: Quiere la factura\nde marzo"]
    assert await pipeline.engine.outcomes() == ["reply"]
    (row,) = await pipeline.engine.rows(contact)
    assert row.name == "Ana"
    trace = await trace_of(pipeline)
    assert trace["plan"] == {
        "send": "template",
        "channel": "whatsapp",
        "because": "the customer has not written there for 24 h: the template is sent",
        "cost": "template",
    }
    assert trace["decision"]["template"] == ["HX1"]


CLEAN = "Quiere la factura de marzo"


async def test_whoever_wrote_lately_gets_the_text_where_and_how_they_wrote(
    pipeline: Pipeline,
) -> None:
    mexican = plugin.Address("tel", "+5215512345678")
    await write(pipeline, "horario", who=mexican)
    await write(pipeline, "horario", channel="phone", who=mexican)

    await end(pipeline, replace(CALL, party=plugin.Address("tel", "+525512345678")))

    (thread,) = await pipeline.engine.rows(conversation)
    assert (thread.channel, thread.address) == ("whatsapp", str(mexican))
    assert (await bodies(pipeline))[-1]["recipient"] == str(mexican)
    assert pipeline.texts()[-1].startswith("Hola Ana, sobre «Quiere la factura")


async def test_a_call_and_a_message_are_one_thread_with_the_call_in_its_timeline(
    pipeline: Pipeline,
) -> None:
    await write(pipeline, "horario")

    await end(pipeline, replace(CALL, outcome="failure"))

    (thread,) = await pipeline.engine.rows(conversation)
    (kept,) = await pipeline.engine.store.read(lambda it: calls_of(it, "main", thread.id))
    assert (kept.id, kept.outcome, kept.summary) == ("conv_1", "failure", CALL.summary)
    assert kept.duration == CALL.duration
    assert kept.transcript == CALL.transcript
    assert kept.data == {"pedido": "A-17"}
    assert kept.event == EventRef(f"main/{ANA}", 2)
    assert await pipeline.engine.outcomes() == ["reply", "ignore"]
    assert (thread.channel, thread.tags) == ("whatsapp", ["llamada"])


@pytest.mark.parametrize("first", ["calls", "calls/late", "api"])
@pytest.mark.parametrize("second", ["calls", "calls/late", "api"])
async def test_a_call_that_is_reported_twice_is_followed_up_once(
    pipeline: Pipeline, first: str, second: str
) -> None:
    await end(pipeline, replace(CALL, transcript=()), by=first)
    await end(pipeline, replace(CALL, reason="end_call tool"), by=second)

    assert len(pipeline.texts()) == 1
    assert await pipeline.engine.outcomes() == (
        ["reply"] if first == second else ["reply", "recorded"]
    )
    kept = await pipeline.engine.store.read(lambda it: show_call(it, "main", "conv_1"))
    assert kept.transcript == (() if first == second else CALL.transcript)


async def test_a_call_that_two_lanes_tell_of_at_once_is_followed_up_once(
    pipeline: Pipeline,
) -> None:
    other = plugin.Address("tel", "+573009990000")
    await pipeline.engine.accept(
        reported(pipeline), reported(pipeline, replace(CALL, party=other), by="api")
    )
    works = await pipeline.engine.claim()
    assert [work.new_call for work in works] == ["conv_1", "conv_1"]

    await pipeline.work(*works)
    await pipeline.settle()

    assert len(pipeline.texts()) == 1
    assert set(await pipeline.engine.outcomes()) == {"recorded", "reply"}


async def test_a_call_that_another_lane_told_of_meanwhile_is_followed_up_once(
    pipeline: Pipeline,
) -> None:
    other = plugin.Address("tel", "+573009990000")
    await pipeline.engine.accept(
        reported(pipeline), reported(pipeline, replace(CALL, party=other), by="api")
    )
    early, late = await pipeline.engine.claim()

    await pipeline.work(early)
    await pipeline.work(late)
    await pipeline.settle()

    assert len(pipeline.texts()) == 1
    assert set(await pipeline.engine.outcomes()) == {"recorded", "reply"}


async def test_what_another_system_reported_is_completed_by_the_provider(
    pipeline: Pipeline,
) -> None:
    thin = plugin.CallEnded(
        id="conv_1", party=ANA, outcome="success", summary="Factura", name="Ana", origin="api"
    )
    await end(pipeline, thin, by="api")
    await end(pipeline, replace(CALL, outcome="failure"))

    kept = await pipeline.engine.store.read(lambda it: show_call(it, "main", "conv_1"))
    assert (kept.origin, kept.outcome, kept.summary) == ("provider", "failure", CALL.summary)
    assert len(pipeline.texts()) == 1


async def test_a_late_report_after_the_conversation_was_closed_follows_nothing_up_again(
    pipeline: Pipeline,
) -> None:
    await end(pipeline)
    await pipeline.pass_time(25 * 3600)
    assert [row.status for row in await pipeline.engine.rows(conversation)] == ["closed"]

    await end(pipeline, by="calls/late")

    assert len(pipeline.texts()) == 1
    assert len(await pipeline.engine.rows(conversation)) == 1


async def test_a_shut_window_without_a_template_is_a_ticket_that_says_so(
    pipeline: Pipeline,
) -> None:
    await write(pipeline, "horario")
    await pipeline.pass_time(23 * 3600)
    await end(pipeline, replace(CALL, summary="sin plantilla"))
    await pipeline.pass_time(2 * 3600)
    await end(pipeline, replace(CALL, id="conv_2", summary="sin plantilla"))

    assert pipeline.texts() == ["De 8 a 18.", "Hola."]
    (row,) = await pipeline.engine.rows(ticket)
    assert row.title == (
        "No se pudo escribir por «whatsapp»: hace más de 24 h que el cliente no escribe ahí, "
        "y la regla no da plantilla"
    )
    assert "ticket" in await pipeline.engine.outcomes()


async def test_who_opted_out_is_not_written_to(pipeline: Pipeline) -> None:
    await write(pipeline, "horario")
    event = plugin.ContactOptedOut("b1", ANA, "blocked")
    await pipeline.engine.accept(pipeline.engine.event(event, channel="whatsapp"))
    await pipeline.settle()

    await end(pipeline)

    assert pipeline.texts() == ["De 8 a 18."]
    assert (await pipeline.engine.outcomes())[-1] == "ignore"
    assert len(await pipeline.engine.rows(call)) == 1


async def test_a_rule_sees_what_the_customer_said_in_the_call(pipeline: Pipeline) -> None:
    said = (plugin.CallTurn("customer", "Llamaré a mi ABOGADO"),)

    await end(pipeline, replace(CALL, transcript=said))

    assert await pipeline.engine.outcomes() == ["escalate"]
    assert pipeline.texts() == []


async def test_a_call_that_reached_nobody_is_an_event_of_its_own(pipeline: Pipeline) -> None:
    await end(pipeline, plugin.CallEnded(id="conv_9", party=ANA, status="failed", reason="busy"))

    (thread,) = await pipeline.engine.rows(conversation)
    assert thread.tags == ["sin-contacto"]
    assert pipeline.texts() == []


async def test_the_answer_to_the_follow_up_knows_the_call(pipeline: Pipeline) -> None:
    await end(pipeline)
    await write(pipeline, "¿me la mandas?")
    await pipeline.pass_time(3)

    (prompt,) = pipeline.provider.asked
    (known,) = prompt.calls
    assert (known.id, known.summary, known.outcome) == ("conv_1", CALL.summary, "success")
    assert known.data == {"pedido": "A-17"}
    assert pipeline.texts()[-1] == "Cuesta 5."


@pytest.mark.parametrize("first", ["call", "message"])
async def test_the_name_that_a_call_gave_stays_whatever_the_profile_says(
    pipeline: Pipeline, first: str
) -> None:
    async def named(profile: str) -> str:
        said = plugin.MessageReceived(f"wa-{profile}", ANA, "hola", name=profile)
        await pipeline.engine.accept(pipeline.engine.event(said, channel="whatsapp"))
        await pipeline.settle()
        (row,) = await pipeline.engine.rows(contact)
        return str(row.name)

    if first == "message":
        assert await named("anita 🌸") == "anita 🌸"
    await end(pipeline)
    (row,) = await pipeline.engine.rows(contact)
    assert row.name == "Ana"

    assert await named("anita 🌺") == "Ana"
    # In the same conversation or in a later one; a call may correct what a call said.
    await end(pipeline, replace(CALL, id="conv_2", name="Ana Pérez"))
    assert await named("anita") == "Ana Pérez"
    await end(pipeline, replace(CALL, id="conv_3", name=None))
    assert await named("a.") == "Ana Pérez"


async def test_what_another_system_did_not_name_the_provider_names(pipeline: Pipeline) -> None:
    await end(pipeline, replace(CALL, name=None, origin="api"), by="api")
    said = plugin.MessageReceived("wa-1", ANA, "hola", name="anita")
    await pipeline.engine.accept(pipeline.engine.event(said, channel="whatsapp"))
    await pipeline.settle()
    assert [row.name for row in await pipeline.engine.rows(contact)] == ["anita"]

    await end(pipeline)

    assert [row.name for row in await pipeline.engine.rows(contact)] == ["Ana"]


async def test_a_replay_decides_about_a_call_as_it_was_decided(pipeline: Pipeline) -> None:
    await write(pipeline, "horario")
    await pipeline.pass_time(25 * 3600)
    await end(pipeline)
    await end(pipeline, by="api")

    recording = await pipeline.engine.store.read(lambda it: recorded(it, ["main"], limit=10))
    (turn,) = [each for each in recording.turns if each.decided.kind == "call"]
    (decided,) = Replayer(pipeline.configuration).replay(turn).decided

    assert turn.decided.body["replies"][0]["template"] == "HX1"
    assert (decided.word, decided.body) == ("reply", turn.decided.body)


async def test_each_customer_always_gets_the_same_variant_and_answers_are_counted(
    pipeline: Pipeline,
) -> None:
    people = [plugin.Address("tel", f"+5730012345{number:02}") for number in range(24)]
    for number, who in enumerate(people):
        await write(pipeline, "horario", who=who)
        data = {"plan": "ab"}
        for repeat in "xy":
            event = replace(CALL, id=f"conv_{number}{repeat}", party=who, data=data)
            await end(pipeline, event)
    chosen: dict[str, set[str]] = {}
    for _, to, text in pipeline.provider.sent:
        if text != "De 8 a 18.":
            chosen.setdefault(to, set()).add("corta" if "aquí" in text else "larga")

    assert all(len(variants) == 1 for variants in chosen.values())
    assert len(set.union(*chosen.values())) == 2
    pipeline.engine.clock.advance(timedelta(minutes=5))
    answering = [who for who in people if chosen[str(who)] == {"corta"}][:2]
    for who in answering:
        await write(pipeline, "horario", who=who)
    counts = await pipeline.engine.store.read(lambda it: count_variants(it, Scope(tenant="main")))
    short, long = counts
    assert (short.rule, short.variant, long.variant) == ("choose", "corta", "larga")
    assert short.sent + long.sent == 48
    assert (short.answered, long.answered) == (4, 0)  # each was written to twice


async def test_shuffled_doubled_late_and_missing_reports_follow_up_each_call_once(
    pipeline: Pipeline,
) -> None:
    """Whichever of webhook, poll and another system come, in whatever order, however often."""
    chance = random.Random(6)
    people = [plugin.Address("tel", f"+57300999{number:04}") for number in range(30)]
    deliveries: list[tuple[plugin.CallEnded, str]] = []
    for number in range(100):
        event = replace(CALL, id=f"conv_{number}", party=people[number % len(people)])
        ways = ["calls", "calls", "calls/post-call", "api"]
        # At least one of them comes; the safety net sees to that.
        for way in chance.sample(ways, chance.randint(1, len(ways))):
            deliveries += [(event, way)] * chance.choice([1, 1, 2, 3])
    chance.shuffle(deliveries)
    deliveries = deliveries[:500]
    while deliveries:
        some, deliveries = deliveries[:20], deliveries[20:]
        for event, way in some:
            await pipeline.engine.accept(reported(pipeline, event, by=way))
        await pipeline.settle()
        pipeline.engine.clock.advance(timedelta(seconds=1))

    followed = [row.id for row in await pipeline.engine.rows(call)]
    assert len(pipeline.texts()) == len(followed) > 80
    worked = await pipeline.engine.rows(inbox_event)
    assert {row.outcome for row in worked} == {"reply", "recorded"}
    assert sum(row.outcome == "reply" for row in worked) == len(followed)
