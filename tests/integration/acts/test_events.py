"""What a person may do with a dead or an unparsed event: try it again, or discard it."""

import base64
import json
from typing import Any

import anyio
import pytest

from router.domain.event import MessageReceived
from router.domain.host_event import Unparsed
from router.errors import ActRefused
from router.storage.events import mark_retried, show_event
from router.storage.status import waiting_for_people
from router.storage.store import Commit, NewEvent
from router.storage.tables import inbox_event
from tests.integration.acts.desk import Channels, Desk, unparsed
from tests.integration.engine.harness import ANA, LUIS, Engine, ref


async def dead(engine: Engine) -> None:
    await engine.accept(engine.said("hola", id="m1"))
    work = await engine.claim_one()
    await engine.complete(Commit(work=work, outcome="dead", dead_error="KeyError: 'x'"))


# Retrying ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_dead_event_is_worked_again_as_a_new_one(engine: Engine, desk: Desk) -> None:
    await dead(engine)

    result = await desk.do("events.retry", str(ref(1)))

    assert result["as"] == [str(ref(2))]
    again = await engine.claim_one()
    assert again.ref == ref(2)
    assert again.event == MessageReceived("m1", ANA, "hola")
    first, second = await engine.rows(inbox_event)
    assert (first.outcome, first.dead_at) == ("retried", None)
    assert first.dead_error == f"KeyError: 'x'; tried again as {ref(2)}"
    assert second.external_id == "message:m1~retry1"


async def test_a_retry_that_dies_can_be_retried(engine: Engine, desk: Desk) -> None:
    await dead(engine)
    await desk.do("events.retry", str(ref(1)))
    work = await engine.claim_one()
    await engine.complete(Commit(work=work, outcome="dead", dead_error="again"))

    await desk.do("events.retry", str(ref(2)))

    names = [row.external_id for row in await engine.rows(inbox_event)]
    assert names == ["message:m1", "message:m1~retry1", "message:m1~retry2"]


async def test_a_request_that_can_be_read_now_goes_to_its_thread(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    name = await unparsed(engine)
    channels.events = [MessageReceived("m1", ANA, "hola"), MessageReceived("m2", LUIS, "buenas")]
    received = engine.clock.now()
    engine.clock.advance(3600)

    result = await desk.do("events.retry", name)

    assert result["as"] == [str(ref(1)), str(ref(1, LUIS))]
    works = await engine.claim()
    assert {work.event.id for work in works if isinstance(work.event, MessageReceived)} == {
        "m1",
        "m2",
    }
    assert {work.received_at for work in works} == {received}


async def test_what_came_by_another_way_meanwhile_is_not_worked_twice(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    name = await unparsed(engine)
    await engine.answer("hola", id="m1")
    channels.events = [MessageReceived("m1", ANA, "hola")]

    result = await desk.do("events.retry", name)

    assert result["known"] == [str(ref(1))]
    assert await engine.idle()


async def test_a_request_of_a_learnt_address_goes_to_the_persons_lane(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    name = await unparsed(engine)
    await engine.store.write(lambda tx: tx.learn_alias("main", str(LUIS), str(ANA)))
    channels.events = [MessageReceived("m2", LUIS, "buenas")]

    result = await desk.do("events.retry", name)

    assert result["as"] == [str(ref(1, ANA))]


@pytest.mark.parametrize(
    "prepare, name, words",
    [
        ("open", str(ref(1)), "still waits for its turn. Only a dead or an unparsed event can be"),
        ("done", str(ref(1)), "ended: reply. Only a dead or an unparsed event can be retried"),
        ("retried", str(ref(1)), f"was tried again as {ref(2)}"),
        ("unreadable", "main/raw:phone#1", "it still cannot be read: ValueError: no"),
        ("open", "nonsense", "'nonsense' is not an event; write LANE#NUMBER"),
        ("open", "main/tel:+1#9", 'there is no event "main/tel:+1#9"'),
    ],
)
async def test_an_event_is_retried_only_where_that_makes_sense(
    engine: Engine, desk: Desk, prepare: str, name: str, words: str
) -> None:
    match prepare:
        case "open":
            await engine.accept(engine.said())
        case "done":
            await engine.answer("hola", "¡Hola!")
        case "retried":
            await dead(engine)
            await desk.do("events.retry", name)
        case _:
            await unparsed(engine)

    assert words in await desk.refused("events.retry", name)


# Discarding ───────────────────────────────────────────────────────────────────────────────────


async def test_an_unparsed_request_is_discarded_for_good(engine: Engine, desk: Desk) -> None:
    name = await unparsed(engine)
    engine.clock.advance(3600)

    result = await desk.do("events.discard", name, because="a test of the provider")

    assert result["event"]["outcome"] == "discarded"
    assert result["event"]["discarded"] == {
        "at": engine.clock.now().isoformat(),
        "by": "ana",
        "because": "a test of the provider",
    }
    (row,) = await engine.rows(inbox_event)
    assert json.loads(row.payload) == {
        "channel": "phone",
        "endpoint": "",
        "error": "ValueError: no",
    }
    assert (row.source, row.external_id, row.type) == ("main/phone", "raw:1", "unparsed")
    assert (row.outcome, row.discarded_by) == ("discarded", "ana")
    waiting = await engine.store.read(lambda it: waiting_for_people(it, "main"))
    assert waiting.unparsed == 0


async def test_what_is_discarded_stays_as_it_is(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    name = await unparsed(engine)
    channels.events = [MessageReceived("m1", ANA, "hola")]
    first = await desk.do("events.discard", name, because="spam")
    engine.clock.advance(60)

    again = await desk.do("events.discard", name, because="another reason", by="eva")

    assert again == first
    assert await desk.refused("events.retry", name) == (
        f'event "{name}" was discarded by ana: spam'
    )


async def test_a_repeat_of_a_discarded_request_is_known(engine: Engine, desk: Desk) -> None:
    name = await unparsed(engine)
    await desk.do("events.discard", name, because="spam")
    (row,) = await engine.rows(inbox_event)
    body = base64.b64encode(b"<xml/>").decode()
    event = Unparsed(channel="phone", endpoint="", body=body, headers={}, error="ValueError: no")

    (repeat,) = await engine.store.enqueue(
        [
            NewEvent(
                lane=row.lane,
                tenant="main",
                source=row.source,
                external_id=row.external_id,
                event=event,
                received_at=engine.clock.now(),
            )
        ]
    )

    assert (str(repeat.ref), repeat.new) == (name, False)
    assert await engine.rows(inbox_event) == [row]


async def test_a_discarded_dead_letter_keeps_what_belongs_to_its_conversation(
    engine: Engine, desk: Desk
) -> None:
    await dead(engine)
    (before,) = await engine.rows(inbox_event)

    await desk.do("events.discard", str(ref(1)), because="answered by telephone")

    (row,) = await engine.rows(inbox_event)
    assert (row.outcome, row.dead_at) == ("discarded", None)
    assert (row.payload, row.dead_error) == (before.payload, "KeyError: 'x'")
    waiting = await engine.store.read(lambda it: waiting_for_people(it, "main"))
    assert waiting.dead == 0


async def test_of_a_retry_and_a_discard_at_once_one_is_done(engine: Engine, desk: Desk) -> None:
    await dead(engine)
    refused: list[str] = []

    async def one(act: str, **more: Any) -> None:
        try:
            await desk.do(act, str(ref(1)), **more)
        except ActRefused as error:
            refused.append(str(error))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: one("events.retry"))
            tasks.start_soon(lambda: one("events.discard", because="spam"))

    first, *again = await engine.rows(inbox_event)
    assert (first.outcome, len(again), len(refused)) in [("retried", 1, 1), ("discarded", 0, 1)]


async def test_a_retry_that_comes_after_a_discard_changes_nothing(
    engine: Engine, desk: Desk
) -> None:
    await dead(engine)
    seen = await engine.store.read(lambda it: show_event(it, "main", ref(1)))
    await desk.do("events.discard", str(ref(1)), because="spam")

    noted = await engine.store.write(lambda tx: mark_retried(tx.connection, "main", seen, [ref(2)]))

    assert noted is False
    (row,) = await engine.rows(inbox_event)
    assert (row.outcome, row.dead_error) == ("discarded", "KeyError: 'x'")


@pytest.mark.parametrize(
    "prepare, words",
    [
        ("open", "still waits for its turn. Discard it afterwards"),
        ("done", "ended: reply. Only a dead or an unparsed event can be discarded"),
        ("retried", f"was tried again as {ref(2)}"),
    ],
)
async def test_an_event_is_discarded_only_where_that_makes_sense(
    engine: Engine, desk: Desk, prepare: str, words: str
) -> None:
    match prepare:
        case "open":
            await engine.accept(engine.said())
        case "done":
            await engine.answer("hola", "¡Hola!")
        case _:
            await dead(engine)
            await desk.do("events.retry", str(ref(1)))
    before = await engine.rows(inbox_event)

    refused = await desk.refused("events.discard", str(ref(1)), because="x")

    assert refused == f'event "{ref(1)}" {words}'
    assert await engine.rows(inbox_event) == before


@pytest.mark.parametrize("because", ["", "  ", "x" * 501])
async def test_an_event_is_not_discarded_without_a_reason(
    engine: Engine, desk: Desk, because: str
) -> None:
    name = await unparsed(engine)

    assert '"because"' in await desk.refused("events.discard", name, because=because)
