"""The outbox: what was decided to leave leaves once, in order, with a known outcome."""

from datetime import timedelta

import anyio
import pytest

from router.domain.message import Author
from router.domain.outbox import ItemState
from router.storage.deliveries import Moved, apply_report
from router.storage.outbox import ItemView, Verdict, resolve_item, retry_item
from router.storage.reconciliation import send_again, unknown_item
from router.storage.store import AttemptResult, Tx
from router.storage.tables import early_report, inbox_event, lane, message, outbox
from tests.integration.engine.harness import ANA, BEFORE_LOOKING, LUIS, Engine, ref

SOON = timedelta(seconds=2)
OUT_LANE = f"main/phone/{ANA}"


async def _reported(
    engine: Engine, provider_id: str, status: str, item: str | None = None, code: str | None = None
) -> Moved | None:
    event = engine.reported(provider_id, status, item=item, code=code)

    def report(tx: Tx) -> Moved | None:
        return apply_report(tx.connection, "main", "phone", event.event, tx.now)  # type: ignore[arg-type]

    return await engine.store.write(report)


# --- order


async def test_messages_to_one_address_leave_in_order_one_at_a_time(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos", "tres")

    for text in ("uno", "dos", "tres"):
        item = await engine.claim_item()
        assert text in item.body
        assert await engine.idle("out")
        await engine.send(item)

    assert set((await engine.states()).values()) == {"done"}
    resting = await engine.lane("out")
    assert (resting.done_seq, resting.ready_at, resting.lease_owner) == (3, None, None)


async def test_messages_to_different_addresses_do_not_wait_for_each_other(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos")
    await engine.answer("hola", "tres", who=LUIS)

    items = await engine.claim_items()

    assert [("uno" in item.body, "tres" in item.body) for item in items] == [
        (True, False),
        (False, True),
    ]


async def test_a_retry_keeps_its_place(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos")
    await engine.attempt(await engine.claim_item(), ItemState.WAITING, retry_in=2)

    assert await engine.idle("out")
    engine.clock.advance(SOON)
    again = await engine.claim_item()

    assert ("uno" in again.body, again.attempt, again.state) == (True, 1, ItemState.WAITING)
    await engine.send(again)
    assert "dos" in (await engine.claim_item()).body


async def test_a_waiting_claim_is_woken_when_a_retry_falls_due(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    # The clock stands still; a retry that is due at once needs no time to pass.
    await engine.attempt(await engine.claim_item(), ItemState.WAITING, retry_in=0)

    with anyio.fail_after(BEFORE_LOOKING):
        assert (await engine.claim_item()).attempt == 1


async def test_what_follows_an_end_is_offered_without_a_claim(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos")
    await engine.send(await engine.claim_item())

    assert (await engine.lane("out")).lease_owner is not None
    assert "dos" in (await engine.claim_item()).body


# --- outcomes


@pytest.mark.parametrize(
    ("state", "status", "follows"),
    [
        (ItemState.DONE, "sent", True),
        (ItemState.REFUSED, "failed", True),
        (ItemState.DEAD, "failed", True),
        (ItemState.UNKNOWN, "unknown", False),
    ],
)
async def test_each_end_is_seen_and_lets_the_next_go_unless_it_is_unknown(
    engine: Engine, state: ItemState, status: str, follows: bool
) -> None:
    await engine.answer("hola", "uno", "dos")
    item = await engine.claim_item()

    await engine.attempt(item, state, error="porque sí")

    line = await engine.line(item.id)
    assert (await engine.state(item.id), line.status, line.failure) == (state, status, "porque sí")
    if follows:
        assert "dos" in (await engine.claim_item()).body
    else:
        assert await engine.idle("out")


async def test_a_receipt_names_the_message(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()

    await engine.send(item, "SM1")

    (row,) = await engine.rows(outbox)
    assert (row.state, row.provider_ref, row.attempt) == ("done", "SM1", 1)
    assert (await engine.line(item.id)).provider_id == "SM1"


async def test_a_crash_between_the_start_and_the_result_is_seen(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    assert await engine.store.start_attempt(await engine.claim_item())

    await engine.crash()

    item = await engine.claim_item()
    assert (item.state, item.attempt) == (ItemState.STARTED, 1)
    unknown = AttemptResult(state=ItemState.UNKNOWN, error="stopped")
    await engine.store.finish_attempt(item, unknown)
    assert await engine.states() == {"uno": "unknown"}
    assert (await engine.lane("out")).parked


async def test_what_may_be_repeated_is_started_again_after_a_crash(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    assert await engine.store.start_attempt(await engine.claim_item())
    await engine.crash()

    item = await engine.claim_item()
    await engine.send(item)

    (row,) = await engine.rows(outbox)
    assert (row.state, row.attempt) == ("done", 2)


async def test_a_crash_after_the_result_repeats_nothing(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    await engine.send(await engine.claim_item())

    await engine.crash()

    assert await engine.idle("out")


# --- unknown


async def _unknown_head(engine: Engine) -> tuple[str, str]:
    """Leave a message unknown and one of the bot's behind it; give its id and the thread's."""
    await engine.answer("hola", "uno", "dos")
    item = await engine.claim_item()
    await engine.attempt(item, ItemState.UNKNOWN)
    assert item.conversation is not None
    return item.id, item.conversation


def _resolve(tx: Tx, name: str, verdict: Verdict) -> ItemView:
    return resolve_item(tx.connection, "main", name, verdict=verdict, by="eva", now=tx.now)


async def test_an_unknown_head_holds_the_bot_and_the_rules_back(engine: Engine) -> None:
    await _unknown_head(engine)
    await engine.accept(engine.said("¿hola?"))
    work = await engine.claim_one()
    await engine.complete(engine.commit(work, "tres", author=Author.RULE))

    assert await engine.idle("out")
    await engine.restart()
    assert await engine.idle("out")


async def test_a_person_is_delivered_past_an_unknown_head(engine: Engine) -> None:
    _, thread = await _unknown_head(engine)

    first = await engine.person_writes("soy yo", thread)
    second = await engine.person_writes("otra vez yo", thread)

    with anyio.fail_after(BEFORE_LOOKING):
        item = await engine.claim_item()
    assert item.id == first
    await engine.send(item)
    item = await engine.claim_item()
    assert item.id == second
    await engine.send(item)
    assert await engine.idle("out")
    assert await engine.states() == {
        "uno": "unknown",
        "dos": "withdrawn",
        "soy yo": "done",
        "otra vez yo": "done",
    }


async def test_a_person_past_an_unknown_head_survives_a_crash(engine: Engine) -> None:
    _, thread = await _unknown_head(engine)
    theirs = await engine.person_writes("soy yo", thread)
    assert await engine.store.start_attempt(await engine.claim_item())

    await engine.crash()

    item = await engine.claim_item()
    assert (item.id, item.state) == (theirs, ItemState.STARTED)


@pytest.mark.parametrize(
    ("verdict", "next_text", "states"),
    [
        (Verdict.SENT, "dos", {"uno": "done", "dos": "waiting"}),
        (Verdict.RESEND, "uno", {"uno": "waiting", "dos": "waiting"}),
        (Verdict.DROP, "dos", {"uno": "withdrawn", "dos": "waiting"}),
    ],
)
async def test_a_persons_word_about_an_unknown_outcome_wakes_the_lane(
    engine: Engine, verdict: Verdict, next_text: str, states: dict[str, str]
) -> None:
    name, _ = await _unknown_head(engine)

    await engine.store.write(lambda tx: _resolve(tx, name, verdict))

    assert await engine.states() == states
    with anyio.fail_after(BEFORE_LOOKING):
        item = await engine.claim_item()
    assert next_text in item.body
    assert await engine.send(item)


async def test_a_resolved_head_behind_which_a_person_went_does_not_send_them_again(
    engine: Engine,
) -> None:
    name, thread = await _unknown_head(engine)
    await engine.person_writes("soy yo", thread)
    await engine.send(await engine.claim_item())

    await engine.store.write(lambda tx: _resolve(tx, name, Verdict.SENT))

    assert await engine.idle("out")
    assert (await engine.lane("out")).done_seq == 3
    assert await engine.states() == {"uno": "done", "dos": "withdrawn", "soy yo": "done"}


# --- delivery reports


@pytest.mark.parametrize("state", [ItemState.UNKNOWN, ItemState.WAITING, ItemState.DEAD])
async def test_a_report_proves_that_a_message_was_sent_and_it_is_not_sent_again(
    engine: Engine, state: ItemState
) -> None:
    await engine.answer("hola", "uno", "dos")
    item = await engine.claim_item()
    await engine.attempt(item, state, retry_in=60 if state is ItemState.WAITING else None)

    await _reported(engine, "SM1", "delivered", item.id)

    (row,) = await engine.rows(outbox, id=item.id)
    assert (row.state, row.provider_ref, row.error) == ("done", "SM1", None)
    line = await engine.line(item.id)
    assert (line.status, line.provider_id) == ("delivered", "SM1")
    with anyio.fail_after(BEFORE_LOOKING):
        assert "dos" in (await engine.claim_item()).body


async def test_a_report_of_an_attempt_nobody_knew_of_proves_it_although_a_person_retried_since(
    engine: Engine,
) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    await engine.attempt(item, ItemState.UNKNOWN)

    def again(tx: Tx) -> None:
        about = unknown_item(tx.connection, "main", item.id)
        assert about is not None
        send_again(tx.connection, about, "on_unknown", tx.now, proved=False)

    await engine.store.write(again)
    await engine.attempt(await engine.claim_item(), ItemState.DEAD)
    await engine.store.write(
        lambda tx: retry_item(tx.connection, "main", item.id, by="ana", now=tx.now)
    )

    await _reported(engine, "ref-1", "delivered", item.id)

    assert await engine.state(item.id) == "done"


async def test_a_report_about_a_message_that_was_never_tried_proves_nothing(
    engine: Engine,
) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()

    await _reported(engine, "SM1", "delivered", item.id)

    assert await engine.state(item.id) == "waiting"


@pytest.mark.parametrize("state", [ItemState.DONE, ItemState.UNKNOWN, ItemState.WAITING])
async def test_a_result_that_comes_after_the_proof_changes_nothing(
    engine: Engine, state: ItemState
) -> None:
    await engine.answer("hola", "uno", "dos")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    await _reported(engine, "SM1", "read", item.id)

    reference = "SM1" if state is ItemState.DONE else None
    later = engine.clock.now() + SOON
    result = AttemptResult(state=state, provider_ref=reference, retry_at=later, error="late")
    await engine.store.finish_attempt(item, result)

    line = await engine.line(item.id)
    assert (await engine.state(item.id), line.status) == ("done", "read")
    assert "dos" in (await engine.claim_item()).body


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        (["delivered"], "delivered"),
        (["read", "delivered", "sent"], "read"),
        (["queued"], "sent"),
        (["on its way"], "sent"),
    ],
)
async def test_a_report_before_our_own_commit_of_the_receipt_is_not_lost(
    engine: Engine, reports: list[str], status: str
) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    for report in reports:
        assert await _reported(engine, "SM1", report) is None

    result = AttemptResult(state=ItemState.DONE, provider_ref="SM1")
    await engine.store.finish_attempt(item, result)

    assert (await engine.line(item.id)).status == status
    assert await engine.rows(early_report) == []


async def test_an_early_failure_is_kept_with_its_words(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    await _reported(engine, "SM1", "failed", code="63016")

    await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE, provider_ref="SM1"))

    line = await engine.line(item.id)
    assert (line.status, line.failure) == ("failed", "63016")


async def test_an_early_report_waits_even_if_an_echo_came_first(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    await _reported(engine, "SM1", "delivered")
    await engine.accept(engine.echoed("uno", id="app-7"))

    await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE, provider_ref="SM1"))

    assert (await engine.line(item.id)).status == "delivered"
    assert await engine.rows(early_report) == []


@pytest.mark.parametrize(
    ("reports", "status", "failure"),
    [
        (["queued", "sent", "delivered", "read"], "read", None),
        (["read", "delivered", "sent", "queued"], "read", None),
        (["delivered", "failed"], "delivered", "failed"),
        (["failed", "delivered"], "delivered", "failed"),
        (["sent", "failed", "queued"], "failed", "failed"),
        (["failed", "sent", "queued"], "failed", "failed"),
        (["delivered", "delivered"], "delivered", None),
        (["delivered", "somewhere"], "delivered", None),
    ],
)
async def test_delivery_only_moves_forward(
    engine: Engine, reports: list[str], status: str, failure: str | None
) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    await engine.send(item, "SM1")

    for report in reports:
        await _reported(engine, "SM1", report)

    line = await engine.line(item.id)
    assert (line.status, line.failure) == (status, failure)


async def test_a_report_of_another_tenant_or_channel_finds_nothing(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    await engine.send(item, "SM1")
    event = engine.reported("SM1", "read", item=item.id).event

    for tenant, channel in (("clinica", "phone"), ("main", "telefono")):
        await engine.store.write(
            lambda tx: apply_report(tx.connection, tenant, channel, event, tx.now)  # type: ignore[arg-type] # noqa: B023
        )

    assert (await engine.line(item.id)).status == "sent"


async def test_a_report_worked_as_an_event_lets_what_waited_behind_leave_at_once(
    engine: Engine,
) -> None:
    name, _ = await _unknown_head(engine)
    report = engine.reported("SM1", "delivered", item=name)
    await engine.accept(report)
    work = await engine.claim_one()

    def effect(tx: Tx) -> None:
        apply_report(tx.connection, "main", "phone", report.event, tx.now)  # type: ignore[arg-type]

    waiting: list[str] = []

    async def wait() -> None:
        waiting.append((await engine.claim_item()).body)

    with anyio.fail_after(BEFORE_LOOKING):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.02)
            await engine.complete(engine.commit(work, effects=(effect,)))

    assert "dos" in waiting[0]


# --- what waits for nobody


async def test_the_lane_of_what_waits_for_nobody_goes_with_it(engine: Engine) -> None:
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.complete(engine.commit(work, items=[engine.action(), engine.action()]))

    items = await engine.claim_items("job")
    assert len(items) == 2  # neither waits for the other
    await engine.attempt(items[0], ItemState.WAITING, retry_in=2)
    await engine.send(items[1])

    assert [row.key for row in await engine.rows(lane, kind="job")] == [items[0].lane]
    engine.clock.advance(SOON)
    await engine.send(await engine.claim_item("job"))
    assert await engine.rows(lane, kind="job") == []


async def test_an_unknown_action_holds_nobody_back(engine: Engine) -> None:
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.complete(engine.commit(work, items=[engine.action(), engine.action()]))
    first, second = await engine.claim_items("job")

    await engine.attempt(first, ItemState.UNKNOWN)

    assert await engine.send(second)
    (row,) = await engine.rows(lane, kind="job")
    assert (row.key, row.parked) == (first.lane, True)


async def test_what_an_attempt_brings_back_is_stored_with_its_end_or_not_at_all(
    engine: Engine,
) -> None:
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.complete(engine.commit(work, items=[engine.action()]))
    item = await engine.claim_item("job")
    assert await engine.store.start_attempt(item)
    event = engine.said("la respuesta", id="answer")

    def break_it(tx: Tx) -> None:
        message = "no"
        raise ValueError(message)

    bad = AttemptResult(state=ItemState.DONE, events=(event,), effects=(break_it,))
    with pytest.raises(ValueError, match="no"):
        await engine.store.finish_attempt(item, bad)
    assert (await engine.state(item.id), len(await engine.rows(inbox_event))) == ("started", 1)

    good = AttemptResult(state=ItemState.DONE, events=(event,))
    await engine.store.finish_attempt(item, good)
    await engine.store.finish_attempt(item, good)

    assert (await engine.state(item.id), len(await engine.rows(inbox_event))) == ("done", 2)
    assert (await engine.claim_one()).ref == ref(2)


# --- decided and due


async def test_an_item_tells_when_it_was_decided_and_when_it_was_last_tried(
    engine: Engine,
) -> None:
    decided = engine.clock.now()
    await engine.answer("hola", "uno")
    engine.clock.advance(SOON)
    tried = engine.clock.now()
    item = await engine.claim_item()
    await engine.attempt(item, ItemState.WAITING, retry_in=0)

    again = await engine.claim_item()

    assert (item.created_at, item.started_at) == (decided, None)
    assert (again.created_at, again.started_at) == (decided, tried)


async def test_a_message_and_its_line_have_one_id(engine: Engine) -> None:
    await engine.answer("hola", "uno")

    (row,) = await engine.rows(outbox)
    (line,) = await engine.rows(message)
    assert (line.id, line.event_lane, line.event_seq) == (row.id, *ref(1))
    assert (row.decided_lane, row.decided_seq) == ref(1)
