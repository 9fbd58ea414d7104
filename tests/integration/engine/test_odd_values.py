"""Values of plugins that no contract allows: judged like any other failure, lost by nobody."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.domain.answer import Usage
from router.pipeline.ai.ask import ATTEMPTS
from router.storage.tables import contact, inbox_event, outbox, ticket
from router.storage.tables import message as message_table
from router.storage.tables import usage as usage_table
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

NAN, INFINITE = float("nan"), float("inf")
NAIVE = datetime(2026, 11, 22, 10, 0)  # noqa: DTZ001 - what a plugin gives

#: What a look may give that is no list of messages.
UNREADABLE: dict[str, Any] = {
    "nothing": None,
    "a yes": True,
    "texts": ["SM1"],
    "a number for an id": [plugin.SentMessage(17)],  # type: ignore[arg-type]
    "a time without a zone beside none": [
        plugin.SentMessage("SM1", NAIVE),
        plugin.SentMessage("SM2", datetime(2026, 11, 22, 10, 0, tzinfo=UTC)),
    ],
}


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(
        request.param, tmp_path, debounce="0s", policy="confidence_threshold = 0.7"
    ) as pipeline:
        pipeline.can("phone", find_sent=True)
        yield pipeline


async def say(pipeline: Pipeline, text: str) -> None:
    await pipeline.engine.accept(pipeline.engine.said(text))
    await pipeline.settle()


async def items(pipeline: Pipeline, kind: str) -> Sequence[Any]:
    return await pipeline.engine.rows(outbox, kind=kind)


# Looking for a message ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("found", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_look_that_cannot_be_read_is_made_again(pipeline: Pipeline, found: object) -> None:
    pipeline.provider.script = [plugin.OutcomeUnknown("it hung up")]
    pipeline.provider.raw, pipeline.provider.listing = [found], [["SM1"]]
    await say(pipeline, "horario")

    await pipeline.pass_time(5)
    await pipeline.pass_time(60)

    (row,) = await items(pipeline, "message")
    assert (row.state, row.provider_ref) == ("done", "SM1")


async def test_looks_that_can_never_be_read_are_given_up_for_a_person(pipeline: Pipeline) -> None:
    pipeline.provider.script = [plugin.OutcomeUnknown("it hung up")]
    pipeline.provider.raw = [None] * 100
    await say(pipeline, "horario")

    for _ in range(15):
        await pipeline.pass_time(60)

    (look,) = await items(pipeline, "reconcile")
    assert look.state == "done"
    assert look.error.startswith("nobody knows whether it was sent: TypeError: ")
    assert len(pipeline.provider.looked) < 20
    assert len(await pipeline.engine.rows(ticket)) == 1


# Codes, and times to wait ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", ["131050", 131050])
async def test_an_opt_out_is_believed_whatever_kind_of_value_its_code_is(
    pipeline: Pipeline, code: Any
) -> None:
    pipeline.provider.script = [
        plugin.Refused("they stopped", code=code, why=plugin.Refusal.OPTED_OUT)
    ]

    await say(pipeline, "horario")

    (row,) = await items(pipeline, "message")
    assert (row.state, row.code) == ("refused", "131050")
    (person,) = await pipeline.engine.rows(contact)
    assert person.opted_out


@pytest.mark.parametrize("code", ["131050", 131050])
async def test_a_report_of_an_opt_out_is_believed_as_well(pipeline: Pipeline, code: Any) -> None:
    await say(pipeline, "horario")
    (row,) = await items(pipeline, "message")
    reason: Any = 7
    report = plugin.DeliveryReported(
        row.provider_ref, ANA, "failed", code=code, reason=reason, why=plugin.Refusal.OPTED_OUT
    )
    live = pipeline.configuration.instances.channels["main", "phone"]

    now = pipeline.engine.clock.now()
    await pipeline.engine.accept(*pipeline.intake.keyed(live, "main/phone", [report], now))
    await pipeline.settle()

    (person,) = await pipeline.engine.rows(contact)
    assert person.opted_out
    assert (await pipeline.engine.line(row.id)).failure == "131050: 7"


async def test_a_model_that_refuses_with_a_number_is_asked_once(pipeline: Pipeline) -> None:
    code: Any = 401
    pipeline.provider.script = [plugin.Refused("wrong key", code=code)]

    await say(pipeline, "¿cuánto cuesta?")

    (row,) = await items(pipeline, "ask")
    assert (row.state, row.code, row.attempt) == ("refused", "401", 1)
    assert pipeline.texts() == ["Lo sentimos."]


@pytest.mark.parametrize("seconds", [NAN, INFINITE, 1e18, -5, "5"])
async def test_a_message_is_tried_again_within_a_day_whatever_time_is_asked_for(
    pipeline: Pipeline, seconds: Any
) -> None:
    pipeline.provider.script = [plugin.Unavailable("busy", retry_after=seconds)]

    await say(pipeline, "horario")
    await pipeline.pass_time(86_400)

    (row,) = await items(pipeline, "message")
    assert (row.state, row.attempt) == ("done", 2)


# Answers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("confidence", [NAN, INFINITE, 35, -1, True, "0.9"])
async def test_a_confidence_that_is_none_passes_no_threshold(
    pipeline: Pipeline, confidence: Any
) -> None:
    pipeline.provider.answer = plugin.Completion("Cuesta 5.", confidence, "INFO")

    await say(pipeline, "¿cuánto cuesta?")

    assert pipeline.texts() == []
    assert len(await pipeline.engine.rows(ticket)) == 1
    (answer,) = await pipeline.engine.rows(inbox_event, type="answer")
    assert '"confidence":null' in answer.payload


@pytest.mark.parametrize("confidence", [0.7, 1])
async def test_a_confidence_from_the_threshold_to_one_passes_it(
    pipeline: Pipeline, confidence: float
) -> None:
    pipeline.provider.answer = plugin.Completion("Cuesta 5.", confidence, "INFO")

    await say(pipeline, "¿cuánto cuesta?")

    assert pipeline.texts() == ["Cuesta 5."]


@pytest.mark.parametrize(
    "used",
    [
        {"input_tokens": 10**30},
        {"input_tokens": 2**62},
        {"input_tokens": NAN},
        {"input_tokens": -5},
        {"input_tokens": "5"},
        {"model": ["small", "\ud800\0"]},
    ],
    ids=["huge", "too much to add up", "no number", "negative", "text", "several models"],
)
async def test_a_good_answer_is_sent_although_nobody_can_tell_what_it_used(
    pipeline: Pipeline, used: Any
) -> None:
    pipeline.provider.answer = plugin.Completion("Cuesta 5.", 0.9, "INFO", usage=Usage(**used))

    await say(pipeline, "¿cuánto cuesta?")

    assert len(pipeline.provider.asked) == 1
    assert pipeline.texts() == ["Cuesta 5."]
    (bill,) = await pipeline.engine.rows(usage_table)
    assert bill.input_tokens == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"text": b"Cuesta 5."},
        {"citations": None},
        {"proposals": None},
        {"proposals": [plugin.ProposedAction("look", {"a": object()})]},
    ],
    ids=["bytes", "no citations", "no proposals", "an object in a proposal"],
)
async def test_an_answer_that_cannot_be_stored_is_asked_for_as_often_as_any_that_fails(
    pipeline: Pipeline, odd: Any
) -> None:
    answer = {"text": "Cuesta 5.", "confidence": 0.9, "category": "INFO", **odd}
    pipeline.provider.answer = plugin.Completion(**answer)

    await pipeline.engine.accept(pipeline.engine.said("¿cuánto cuesta?"))
    for _ in range(ATTEMPTS):
        await pipeline.settle()
        await pipeline.pass_time(20)

    assert len(pipeline.provider.asked) == ATTEMPTS
    assert pipeline.texts() == ["Lo sentimos."]
    (row,) = await items(pipeline, "ask")
    assert row.state == "dead"
    assert row.error.startswith("TypeError: ")


async def test_sources_that_can_be_read_only_once_are_kept(pipeline: Pipeline) -> None:
    sources: Any = (name for name in ["prices#1"])
    pipeline.provider.answer = plugin.Completion("Cuesta 5.", 0.9, "INFO", sources)

    await say(pipeline, "¿cuánto cuesta?")

    (answer,) = await pipeline.engine.rows(inbox_event, type="answer")
    assert '"citations":["prices#1"]' in answer.payload


# Messages ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_without_any_text_is_one_of_an_empty_text(pipeline: Pipeline) -> None:
    text: Any = None
    said = plugin.MessageReceived("m1", ANA, text)
    live = pipeline.configuration.instances.channels["main", "phone"]

    now = pipeline.engine.clock.now()
    await pipeline.engine.accept(*pipeline.intake.keyed(live, "main/phone", [said], now))
    await pipeline.settle()

    (line,) = await pipeline.engine.rows(message_table, direction="in")
    assert line.text == ""
