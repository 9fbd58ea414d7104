"""What a person may say about an item of the outbox: what became of it, and another try."""

from collections.abc import Mapping
from typing import Any

import pytest

from router.domain.outbox import ItemState
from router.storage.database.health import damage
from router.storage.tables import outbox
from tests.integration.acts.desk import Desk, stuck
from tests.integration.engine.harness import Engine


async def test_what_was_sent_is_done_and_lets_the_next_one_go(engine: Engine, desk: Desk) -> None:
    item = await stuck(engine, ItemState.UNKNOWN, "¿En qué puedo ayudar?")
    assert await engine.idle("out")

    await desk.do("outbox.resolve", item, sent=True)

    assert await engine.states() == {"¡Hola!": "done", "¿En qué puedo ayudar?": "waiting"}
    assert (await engine.line(item)).status == "sent"
    following = await engine.claim_item()
    assert await engine.send(following)
    assert await engine.state(following.id) == "done"


async def test_what_was_not_sent_is_sent_now_before_what_waits_behind(
    engine: Engine, desk: Desk
) -> None:
    item = await stuck(engine, ItemState.UNKNOWN, "¿En qué puedo ayudar?")

    await desk.do("outbox.resolve", item, sent=False)

    assert (await engine.line(item)).status == "queued"
    first = await engine.claim_item()
    assert first.id == item
    assert await engine.send(first)
    assert await engine.send(await engine.claim_item())
    assert await engine.states() == {"¡Hola!": "done", "¿En qué puedo ayudar?": "done"}


async def test_an_action_that_was_done_leaves_no_lane_behind(engine: Engine, desk: Desk) -> None:
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.complete(engine.commit(work, items=[engine.action()]))
    item = await engine.claim_item("job")
    await engine.attempt(item, ItemState.UNKNOWN)

    await desk.do("outbox.resolve", item.id, sent=True)

    assert await engine.state(item.id) == "done"
    assert await engine.idle("job")
    assert await engine.store.read(damage) == []


@pytest.mark.parametrize("state", [ItemState.DEAD, ItemState.REFUSED])
@pytest.mark.parametrize(
    "verdict, ended, status, error",
    [
        ("sent", "done", "sent", "ana says that it was sent; before: the connection was lost"),
        (
            "drop",
            "withdrawn",
            "withdrawn",
            "ana says that it is not to be sent any more; before: the connection was lost",
        ),
        (
            "resend",
            "waiting",
            "queued",
            "ana asked for another try; before: the connection was lost",
        ),
    ],
)
async def test_a_dead_letter_is_settled_by_a_persons_word(
    engine: Engine, desk: Desk, state: ItemState, verdict: str, ended: str, status: str, error: str
) -> None:
    item = await stuck(engine, state)

    result = await desk.do("outbox.resolve", item, verdict=verdict)

    assert (result["item"]["state"], result["item"]["error"]) == (ended, error)
    assert (await engine.line(item)).status == status
    if verdict == "resend":
        assert (await engine.claim_item()).id == item
    else:
        assert await engine.idle("out")


async def test_what_became_of_an_item_has_to_be_said(engine: Engine, desk: Desk) -> None:
    item = await stuck(engine, ItemState.UNKNOWN)

    refused = await desk.refused("outbox.resolve", item)

    assert refused == 'say what became of it: "verdict" is sent, resend or drop'


@pytest.mark.parametrize("state", [ItemState.DEAD, ItemState.REFUSED])
async def test_what_was_given_up_waits_again_at_the_end_of_its_lane(
    engine: Engine, desk: Desk, state: ItemState
) -> None:
    item = await stuck(engine, state, "¿En qué puedo ayudar?")
    second = await engine.claim_item()

    result = await desk.do("outbox.retry", item)

    assert result["item"]["error"] == "ana asked for another try; before: the connection was lost"
    assert (await engine.line(item)).status == "queued"
    assert await engine.send(second)
    again = await engine.claim_item()
    assert (again.id, again.attempt) == (item, 0)
    assert await engine.send(again)
    assert await engine.states() == {"¿En qué puedo ayudar?": "done", "¡Hola!": "done"}


async def test_what_a_person_wrote_and_tries_again_goes_past_what_nobody_knows(
    engine: Engine, desk: Desk
) -> None:
    await engine.answer("hola")
    written = await engine.person_writes("Le llamo hoy.", (await engine.conversation()).id)
    await engine.attempt(await engine.claim_item(), ItemState.REFUSED)
    await engine.answer("gracias", "De nada.")
    await engine.attempt(await engine.claim_item(), ItemState.UNKNOWN)
    assert (await engine.lane("out")).parked

    await desk.do("outbox.retry", written)

    assert await engine.send(await engine.claim_item())
    assert await engine.states() == {"De nada.": "unknown", "Le llamo hoy.": "done"}
    assert (await engine.lane("out")).parked


async def test_an_action_can_be_tried_again_though_its_lane_is_gone(
    engine: Engine, desk: Desk
) -> None:
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.complete(engine.commit(work, items=[engine.action()]))
    item = await engine.claim_item("job")
    await engine.attempt(item, ItemState.REFUSED)

    await desk.do("outbox.retry", item.id)

    again = await engine.claim_item("job")
    assert again.id == item.id
    assert await engine.send(again)


async def test_a_retry_is_a_persons_word_and_survives_a_takeover(
    engine: Engine, desk: Desk
) -> None:
    item = await stuck(engine, ItemState.REFUSED)
    thread = (await engine.conversation()).id
    await desk.do("conversations.take", thread)

    await desk.do("outbox.retry", item)

    assert await engine.send(await engine.claim_item())


@pytest.mark.parametrize(
    "act, more, state, words",
    [
        (
            "outbox.retry",
            {},
            ItemState.DONE,
            "done: it was sent, and sending it again would double it",
        ),
        (
            "outbox.retry",
            {},
            ItemState.UNKNOWN,
            "unknown: it may have been sent. Say what became of it: router outbox resolve",
        ),
        (
            "outbox.resolve",
            {"sent": True},
            ItemState.DONE,
            (
                "done: there is nothing to settle. "
                "Only an item that is unknown, dead or refused can be resolved"
            ),
        ),
    ],
)
async def test_an_item_whose_outcome_is_known_stays_as_it_is(
    engine: Engine, desk: Desk, act: str, more: Mapping[str, Any], state: ItemState, words: str
) -> None:
    item = await stuck(engine, state)

    refused = await desk.refused(act, item, **more)

    assert refused == f'outbox item "{item}" is {words}'
    assert await engine.state(item) == state


async def test_what_waits_or_leaves_is_not_retried(engine: Engine, desk: Desk) -> None:
    await engine.answer("hola", "¡Hola!")
    (row,) = await engine.rows(outbox)
    waiting = await desk.refused("outbox.retry", row.id)
    await engine.store.start_attempt(await engine.claim_item())
    leaving = await desk.refused("outbox.retry", row.id)

    assert waiting == f'outbox item "{row.id}" is waiting: it will leave by itself'
    assert leaving == f'outbox item "{row.id}" is started: it is leaving just now'
