"""What a provider's refusal says of a customer: the window is closed, they opted out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from router import plugin
from router.storage.tables import contact, draft, inbox_event, outbox, ticket
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

CLOSED = plugin.Refused("window closed", code="1", why=plugin.Refusal.WINDOW_CLOSED)
STOPPED = plugin.Refused("customer opted out", code="21610", why=plugin.Refusal.OPTED_OUT)

RULES = """
[template.tomorrow]
ref = "HX1"
text = "Su cita es mañana."

[template.call]
ref = "HX2"
text = "Tenemos una respuesta para usted."

[[rule]]
id = "booked"
when.text.words = "cita"
then.reply = { template = "tomorrow" }

[[rule]]
id = "lost"
on = "delivery"
when.delivery.code = "63016"
when.conversation.window_open = false
then.reply = { template = "call" }

[[guardrail]]
id = "price"
when.answer.text.words = "cuesta"
then.draft = "a price"
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline whose channel has a window of a day."""
    async with running(request.param, tmp_path, rules=RULES) as pipeline:
        pipeline.can("phone", window=timedelta(hours=24))
        yield pipeline


async def say(pipeline: Pipeline, *texts: str) -> None:
    for text in texts:
        await pipeline.engine.accept(pipeline.engine.said(text))
        await pipeline.think()


async def states(pipeline: Pipeline) -> list[str]:
    rows = await pipeline.engine.rows(outbox, kind="message")
    return [row.state for row in sorted(rows, key=lambda row: row.seq)]


# The window ───────────────────────────────────────────────────────────────────────────────────


async def test_a_closed_window_is_believed_and_the_answer_is_a_ticket(pipeline: Pipeline) -> None:
    pipeline.provider.script = [CLOSED]
    await say(pipeline, "horario", "horario")
    await pipeline.settle()
    await pipeline.pass_time(3600)

    assert await states(pipeline) == ["refused", "dead"]
    assert pipeline.texts() == []
    # What becomes of both is added to one ticket, which somebody has to close.
    assert len(await pipeline.engine.rows(ticket)) == 1
    second = max(await pipeline.engine.rows(outbox, kind="message"), key=lambda row: row.seq)
    assert second.attempt == 0
    assert second.error.startswith("the channel's window is closed: ")


async def test_a_rule_may_make_a_template_of_an_answer_that_came_too_late(
    pipeline: Pipeline,
) -> None:
    closed = plugin.Refused("window closed", code="63016", why=plugin.Refusal.WINDOW_CLOSED)
    pipeline.provider.script = [closed]
    await say(pipeline, "horario")

    await pipeline.settle()
    await pipeline.settle()

    assert pipeline.texts() == ["Tenemos una respuesta para usted."]
    assert await states(pipeline) == ["refused", "done"]
    assert await pipeline.engine.rows(ticket) == []
    (row,) = await pipeline.engine.rows(outbox, state="refused")
    line = await pipeline.engine.line(row.id)
    assert (line.status, line.failure, line.provider_id) == ("failed", "window closed", None)


async def test_a_template_that_is_refused_as_too_late_is_a_ticket_and_asks_no_rule(
    pipeline: Pipeline,
) -> None:
    closed = plugin.Refused("window closed", code="63016", why=plugin.Refusal.WINDOW_CLOSED)
    pipeline.provider.script = [closed] * 9
    await say(pipeline, "cita")

    for _ in range(5):
        await pipeline.settle()

    assert await states(pipeline) == ["refused"]
    assert len(await pipeline.engine.rows(ticket)) == 1


async def test_the_customer_s_next_message_opens_the_window(pipeline: Pipeline) -> None:
    pipeline.provider.script = [CLOSED]
    await say(pipeline, "horario")
    await pipeline.settle()

    pipeline.engine.clock.advance(60)
    await say(pipeline, "horario")
    await pipeline.settle()

    assert await states(pipeline) == ["refused", "done"]


async def test_a_template_leaves_through_a_closed_window(pipeline: Pipeline) -> None:
    pipeline.provider.script = [CLOSED]
    await say(pipeline, "horario", "cita")

    await pipeline.settle()

    assert await states(pipeline) == ["refused", "done"]


async def test_a_message_is_tried_until_the_window_closes(pipeline: Pipeline) -> None:
    await say(pipeline, "hola")
    thread = (await pipeline.engine.conversation()).id
    await pipeline.pass_time(20 * 3600)
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=3600)] * 100
    name = await pipeline.engine.person_writes("Ya le cuento.", thread)
    await pipeline.settle()

    for _ in range(3):
        await pipeline.pass_time(3600)
        assert await pipeline.engine.state(name) == "waiting"
    await pipeline.pass_time(3600)

    assert await pipeline.engine.state(name) == "dead"
    titles = [row.title for row in await pipeline.engine.rows(ticket)]
    assert "No se pudo enviar: Ya le cuento." in titles


@pytest.mark.parametrize("code", ["63016", "1"])
async def test_a_report_that_the_window_was_closed_counts_as_much(
    pipeline: Pipeline, code: str
) -> None:
    """A rule makes a template of the one; of the other, none says anything."""
    await say(pipeline, "horario")
    await pipeline.settle()
    (row,) = await pipeline.engine.rows(outbox, kind="message")
    report = plugin.DeliveryReported(
        row.provider_ref,
        ANA,
        "failed",
        code=code,
        reason="window closed",
        why=plugin.Refusal.WINDOW_CLOSED,
    )

    await pipeline.engine.accept(pipeline.engine.event(report))
    await pipeline.settle()

    assert (await pipeline.engine.conversation()).window_shut_at == row.started_at
    titles = [opened.title for opened in await pipeline.engine.rows(ticket)]
    if code == "63016":
        assert (titles, pipeline.texts()[1:]) == ([], ["Tenemos una respuesta para usted."])
    else:
        assert titles == ["El proveedor lo rechazó: De 8 a 18."]
        assert len(pipeline.texts()) == 1
    assert (await pipeline.engine.line(row.id)).status == "failed"


# Opting out ───────────────────────────────────────────────────────────────────────────────────


async def test_who_opted_out_at_the_provider_is_marked_and_gets_nothing_more(
    pipeline: Pipeline,
) -> None:
    pipeline.provider.script = [STOPPED]
    await say(pipeline, "horario", "horario", "horario")

    await pipeline.settle()

    assert await states(pipeline) == ["refused", "withdrawn", "withdrawn"]
    (row,) = await pipeline.engine.rows(contact)
    assert row.opted_out
    assert pipeline.texts() == []
    (withdrawn, _) = [row for row in await pipeline.engine.rows(outbox) if row.state == "withdrawn"]
    assert withdrawn.error == "the customer opted out at the provider before it was sent"


async def test_a_draft_for_who_opted_out_at_the_provider_is_thrown_away(
    pipeline: Pipeline,
) -> None:
    await say(pipeline, "¿cuánto?")
    await pipeline.pass_time(60)
    assert [row.state for row in await pipeline.engine.rows(draft)] == ["pending"]
    pipeline.provider.script = [STOPPED]

    await say(pipeline, "horario")
    await pipeline.settle()

    (row,) = await pipeline.engine.rows(draft)
    assert row.state == "discarded"
    assert row.because.endswith("Rejected: the customer opted out at the provider")


async def test_a_report_that_the_customer_opted_out_counts_as_much(pipeline: Pipeline) -> None:
    await say(pipeline, "horario")
    await pipeline.settle()
    (row,) = await pipeline.engine.rows(outbox, kind="message")
    report = plugin.DeliveryReported(
        row.provider_ref, ANA, "failed", code="21610", why=plugin.Refusal.OPTED_OUT
    )
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=600)]
    await say(pipeline, "horario")
    await pipeline.settle()

    await pipeline.engine.accept(pipeline.engine.event(report))
    await pipeline.settle()
    await pipeline.pass_time(3600)

    (person,) = await pipeline.engine.rows(contact)
    assert person.opted_out
    assert await states(pipeline) == ["done", "withdrawn"]


async def test_any_other_refusal_says_nothing_of_the_customer(pipeline: Pipeline) -> None:
    pipeline.provider.script = [plugin.Refused("no such template", code="63027")]
    await say(pipeline, "horario", "horario")

    await pipeline.settle()

    assert await states(pipeline) == ["refused", "done"]
    (row,) = await pipeline.engine.rows(contact)
    assert not row.opted_out
    assert (await pipeline.engine.conversation()).window_shut_at is None


# Words ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", list(DATABASES))
async def test_a_key_that_a_provider_quotes_is_kept_nowhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "open/sesame")
    tables = '[actions.hook]\ntype = "note"\ntoken = { env = "KEY" }\n'
    async with running(name, tmp_path, tables=tables) as pipeline:
        pipeline.provider.scripts["phone"] = [plugin.Refused("Invalid key: open/sesame")]
        pipeline.provider.scripts["assistant"] = [plugin.Refused("GET /open%2Fsesame: 404")]
        await say(pipeline, "horario")
        await pipeline.settle()
        await say(pipeline, "otra cosa")
        await pipeline.pass_time(10)

        kept = [
            repr(row)
            for table in (outbox, ticket, inbox_event)
            for row in await pipeline.engine.rows(table)
        ]

    assert any("Invalid key: [secret]" in row for row in kept)
    assert any("GET /[secret]: 404" in row for row in kept)
    assert not [row for row in kept if "sesame" in row]
    assert "sesame" not in str(pipeline.log.__dict__)


# What is refused afterwards ────────────────────────────────────────────────────────────────────


async def failed_later(pipeline: Pipeline, *reports: plugin.DeliveryReported) -> list[str]:
    """Let a provider take an answer and report of it; give the titles of the tickets."""
    for report in reports:
        await pipeline.engine.accept(pipeline.engine.event(report))
        await pipeline.think()
    return [row.title for row in await pipeline.engine.rows(ticket)]


@pytest.fixture
async def taken(pipeline: Pipeline) -> str:
    """Give what a provider calls a message that it took."""
    pipeline.reload("[queues.legal]", '[queues.default]\nnotify = ["pager"]\n\n[queues.legal]')
    await say(pipeline, "horario")
    await pipeline.settle()
    (row,) = await pipeline.engine.rows(outbox, kind="message")
    return str(row.provider_ref)


@pytest.mark.parametrize("words", [("failed",), ("failed", "undelivered"), ("sent", "failed")])
async def test_what_fails_at_the_provider_is_told_once(
    pipeline: Pipeline, taken: str, words: tuple[str, ...]
) -> None:
    reports = [
        plugin.DeliveryReported(taken, ANA, word, code="63024", reason="no such recipient")
        for word in words
    ]

    assert await failed_later(pipeline, *reports, *reports) == [
        "El proveedor lo rechazó: De 8 a 18."
    ]

    await pipeline.settle()
    (notice,) = pipeline.provider.done
    params = notice.params.model_dump()
    assert params["title"] == "El proveedor lo rechazó: De 8 a 18."
    assert params["text"].startswith("no such recipient (router outbox show ")


async def test_what_an_opt_out_makes_fail_is_told_to_nobody(pipeline: Pipeline, taken: str) -> None:
    why = plugin.Refusal.OPTED_OUT
    report = plugin.DeliveryReported(taken, ANA, "failed", code="21610", why=why)

    assert await failed_later(pipeline, report) == []
    await pipeline.settle()
    assert pipeline.provider.done == []


async def test_what_fails_after_it_arrived_is_no_loss(pipeline: Pipeline, taken: str) -> None:
    words = ("delivered", "failed")

    assert (
        await failed_later(pipeline, *(plugin.DeliveryReported(taken, ANA, word) for word in words))
        == []
    )


async def test_a_failure_that_is_told_before_our_own_result_is_told_once(
    pipeline: Pipeline,
) -> None:
    await say(pipeline, "horario")
    item = await pipeline.engine.claim_item()
    assert await pipeline.engine.store.start_attempt(item)
    report = plugin.DeliveryReported("SM1", ANA, "failed", item=item.id, reason="no recipient")

    assert await failed_later(pipeline, report) == ["El proveedor lo rechazó: De 8 a 18."]
    await pipeline.crash()
    await pipeline.settle()
    assert await failed_later(pipeline, report) == ["El proveedor lo rechazó: De 8 a 18."]
