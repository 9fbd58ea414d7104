"""What a person may do, act by act, on a real database: what it changes, and when it refuses."""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from router.domain.conversation import Turn, TurnMessage
from router.domain.decision import DraftRequest, EscalationRequest, TicketRequest
from router.domain.event import InboundEvent, MessageReceived
from router.domain.host_event import Unparsed
from router.domain.outbox import ItemState
from router.errors import ActRefused, NotFound
from router.pipeline.acts import ACTS, perform
from router.pipeline.outgoing import outbound_message
from router.plugin.channel import Capabilities
from router.storage.drafts import open_draft
from router.storage.events import mark_retried
from router.storage.health import damage
from router.storage.refusals import accept_opt_out
from router.storage.status import waiting_for_people
from router.storage.store import AttemptResult, Commit, Item, NewEvent, Tx
from router.storage.tables import conversation, draft, inbox_event, message, outbox, ticket
from router.storage.tickets import open_escalation, open_ticket
from tests.integration.engine.harness import ANA, DATABASES, LUIS, Engine, opened, ref


class Channels:
    """Channels of which the longest text, the window and the parser are the test's."""

    def __init__(self) -> None:
        self.longest = 1000
        self.window: timedelta | None = None
        self.there = True
        self.media = False
        self.events: Sequence[InboundEvent] | None = None

    def capabilities(self, tenant: str, channel: str) -> Capabilities | None:
        can = Capabilities(max_text=self.longest, window=self.window, media=self.media)
        return can if self.there else None

    def dialers(self) -> Mapping[str, type[BaseModel]]:
        return {}

    def files_released(self) -> None:
        pass

    def parse(self, tenant: str, event: Unparsed, received_at: datetime) -> Sequence[InboundEvent]:
        if self.events is None:
            raise ActRefused("it still cannot be read: ValueError: no")
        return self.events


@pytest.fixture
def channels() -> Channels:
    return Channels()


@pytest.fixture(params=list(DATABASES))
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with opened(request.param, tmp_path) as engine:
        yield engine
        assert await engine.store.read(damage) == []


class Desk:
    """A person at work."""

    def __init__(self, engine: Engine, channels: Channels) -> None:
        self.engine = engine
        self.channels = channels

    async def do(self, name: str, id: str, **arguments: Any) -> dict[str, Any]:
        if name != "conversations.release":
            arguments = {"by": "ana", **arguments}
        given = {"id": id, **arguments}
        return await perform(self.engine.store, name, given, self.channels, patience=0.2)

    async def refused(self, name: str, id: str, **arguments: Any) -> str:
        with pytest.raises(ActRefused) as caught:
            await self.do(name, id, **arguments)
        return str(caught.value)


@pytest.fixture
def desk(engine: Engine, channels: Channels) -> Desk:
    return Desk(engine, channels)


async def drafted(engine: Engine, text: str = "Abrimos a las 9.") -> str:
    """Let a customer ask, and keep the answer as a draft; give the conversation's id."""

    await engine.accept(engine.said("¿A qué hora abren?"))
    work = await engine.claim_one()
    commit = engine.commit(work, outcome="draft")
    assert commit.conversation is not None
    thread = commit.conversation.id
    request = DraftRequest(text=text, because="low confidence", sources=("horarios#1",))

    def keep(tx: Tx) -> None:
        open_draft(
            tx.connection,
            id="draft-1",
            tenant="main",
            conversation=thread,
            event=work.ref,
            request=request,
            now=tx.now,
        )

    await engine.complete(
        engine.commit(work, outcome="draft", effects=(keep,), conversation=commit.conversation)
    )
    return thread


async def stuck(engine: Engine, state: ItemState, *more: str) -> str:
    """Let an answer's attempt end badly; give the item's id. ``more`` waits behind it."""
    await engine.answer("hola", "¡Hola!", *more)
    item = await engine.claim_item()
    await engine.attempt(item, state, "the connection was lost")
    return item.id


# Drafts ───────────────────────────────────────────────────────────────────────────────────────


async def test_an_approved_draft_leaves_as_a_persons_message(engine: Engine, desk: Desk) -> None:
    thread = await drafted(engine)

    result = await desk.do("drafts.approve", "draft-1")

    (item_id,) = result["items"]
    assert result["draft"]["state"] == "approved"
    (row,) = await engine.rows(draft)
    assert (row.state, row.resolved_by, row.sent_text) == ("approved", "ana", "Abrimos a las 9.")
    (line,) = await engine.rows(message, id=item_id)
    assert (line.author, line.text, line.status) == ("person", "Abrimos a las 9.", "queued")
    assert (line.event_lane, line.event_seq) == ref(1)
    item = await engine.claim_item()
    assert (item.id, item.author, item.conversation, item.decided) == (
        item_id,
        "person",
        thread,
        ref(1),
    )
    assert (await engine.conversation()).epoch == 0


async def test_an_edited_draft_keeps_both_texts(engine: Engine, desk: Desk) -> None:
    await drafted(engine)

    await desk.do("drafts.edit", "draft-1", text="Abrimos a las 10.")

    (row,) = await engine.rows(draft)
    assert (row.state, row.text, row.sent_text) == (
        "edited",
        "Abrimos a las 9.",
        "Abrimos a las 10.",
    )
    assert await engine.states() == {"Abrimos a las 10.": "waiting"}


async def test_an_edit_that_changes_nothing_is_an_approval(engine: Engine, desk: Desk) -> None:
    await drafted(engine)

    result = await desk.do("drafts.edit", "draft-1", text=" Abrimos a las 9. ")

    assert result["draft"]["state"] == "approved"


async def test_a_long_draft_leaves_in_parts(engine: Engine, desk: Desk, channels: Channels) -> None:
    await drafted(engine, "Uno dos. Tres cuatro.")
    channels.longest = 14

    result = await desk.do("drafts.approve", "draft-1")

    assert len(result["items"]) == 2
    assert await engine.states() == {"Uno dos.": "waiting", "Tres cuatro.": "waiting"}


async def test_a_rejected_draft_is_not_sent_and_says_why(engine: Engine, desk: Desk) -> None:
    await drafted(engine)

    await desk.do("drafts.reject", "draft-1", because="old hours")

    (row,) = await engine.rows(draft)
    assert (row.state, row.because) == ("discarded", "low confidence. Rejected: old hours")
    assert await engine.rows(outbox) == []


@pytest.mark.parametrize(
    "act, more",
    [("drafts.approve", {}), ("drafts.edit", {"text": "Otra cosa."}), ("drafts.reject", {})],
)
async def test_a_draft_has_one_word_said_about_it(
    engine: Engine, desk: Desk, act: str, more: Mapping[str, str]
) -> None:
    await drafted(engine)
    await desk.do("drafts.approve", "draft-1")

    refused = await desk.refused(act, "draft-1", **more)

    assert refused == 'draft "draft-1" is approved already, by ana'
    assert len(await engine.rows(outbox)) == 1


# Outbox ───────────────────────────────────────────────────────────────────────────────────────


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


# Events ───────────────────────────────────────────────────────────────────────────────────────


async def dead(engine: Engine) -> None:
    await engine.accept(engine.said("hola", id="m1"))
    work = await engine.claim_one()
    await engine.complete(Commit(work=work, outcome="dead", dead_error="KeyError: 'x'"))


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


async def unparsed(engine: Engine) -> str:
    body = base64.b64encode(b"<xml/>").decode()
    event = Unparsed(channel="phone", endpoint="", body=body, headers={}, error="ValueError: no")
    new = NewEvent(
        lane="main/raw:phone",
        tenant="main",
        source="main/phone",
        external_id="raw:1",
        event=event,
        received_at=engine.clock.now(),
    )
    await engine.accept(new)
    await engine.complete(Commit(work=await engine.claim_one(), outcome="unparsed"))
    return "main/raw:phone#1"


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
    await desk.do("events.discard", str(ref(1)), because="spam")

    noted = await engine.store.write(
        lambda tx: mark_retried(tx.connection, "main", ref(1), [ref(2)])
    )

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


# Conversations ────────────────────────────────────────────────────────────────────────────────


async def test_a_takeover_withdraws_what_the_bot_has_not_sent(engine: Engine, desk: Desk) -> None:
    await engine.answer("hola", "¡Hola!", "¿En qué puedo ayudar?")
    thread = (await engine.conversation()).id

    result = await desk.do("conversations.take", thread)

    assert (result["withdrawn"], result["under_way"]) == (2, [])
    row = await engine.conversation()
    assert (row.owner, row.epoch) == ("ana", 1)
    assert set((await engine.states()).values()) == {"withdrawn"}


async def test_a_takeover_names_what_has_left_already(engine: Engine, desk: Desk) -> None:
    await engine.answer("hola", "¡Hola!")
    item = await engine.claim_item()
    await engine.store.start_attempt(item)

    result = await desk.do("conversations.take", str(ANA))

    assert result["under_way"] == [item.id]


async def test_a_takeover_waits_for_what_is_just_leaving(engine: Engine, desk: Desk) -> None:
    await engine.answer("hola", "¡Hola!")
    item = await engine.claim_item()
    await engine.store.start_attempt(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_land, engine, item)
        result = await desk.do("conversations.take", str(ANA))

    assert result["under_way"] == []
    assert await engine.state(item.id) == "done"


async def _land(engine: Engine, item: Item) -> None:
    await anyio.sleep(0.06)
    await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))


async def test_a_conversation_handed_back_is_the_bots_in_an_epoch_of_its_own(
    engine: Engine, desk: Desk
) -> None:
    await engine.answer()
    await desk.do("conversations.take", str(ANA))

    result = await desk.do("conversations.release", str(ANA))

    assert result["conversation"]["owner"] == "bot"
    row = await engine.conversation()
    assert (row.owner, row.epoch, row.status) == ("bot", 2, "active")


@pytest.mark.parametrize(
    "taken, act, by, words",
    [
        (True, "conversations.take", "ana", "is ana's already"),
        (False, "conversations.take", "bot", '"bot" is not a person. Say who takes it over'),
        (False, "conversations.take", "nobody", '"nobody" is not a person. Say who takes it over'),
        (False, "conversations.release", "", "is the bot's already"),
    ],
)
async def test_a_conversation_is_handed_over_only_to_somebody_else(
    engine: Engine, desk: Desk, taken: bool, act: str, by: str, words: str
) -> None:
    await engine.answer()
    if taken:
        await desk.do("conversations.take", str(ANA))

    assert words in await desk.refused(act, str(ANA), **({"by": by} if by else {}))


@pytest.mark.parametrize("act", ["conversations.take", "conversations.release"])
async def test_a_closed_conversation_is_nobodys_any_more(
    engine: Engine, desk: Desk, act: str
) -> None:
    await engine.answer()
    thread = (await engine.conversation()).id
    await engine.store.write(
        lambda tx: tx.connection.execute(conversation.update().values(status="closed")).rowcount
    )

    assert await desk.refused(act, thread) == f'conversation "{thread}" is closed'


# Tickets and escalations ──────────────────────────────────────────────────────────────────────


async def ticketed(engine: Engine) -> None:
    await engine.answer()
    thread = (await engine.conversation()).id
    request = TicketRequest(queue="billing", title="Factura")

    def write(tx: Tx) -> None:
        open_ticket(
            tx.connection,
            id="ticket-1",
            tenant="main",
            conversation=thread,
            event=ref(1),
            request=request,
            author="rule billing",
            now=tx.now,
        )
        open_escalation(
            tx.connection,
            id="escalation-1",
            tenant="main",
            conversation=thread,
            event=ref(1),
            request=EscalationRequest(to="pager", because="legal threat"),
            now=tx.now,
        )

    await engine.store.write(write)


async def test_a_ticket_goes_step_by_step_and_may_be_opened_again(
    engine: Engine, desk: Desk
) -> None:
    await ticketed(engine)

    result: dict[str, Any] = {}
    for state in ("IN_PROGRESS", "RESOLVED", "IN_PROGRESS", "CLOSED"):
        result = await desk.do("tickets.state", "1", state=state)
        opened_one = (await engine.conversation()).open_ticket
        assert opened_one == ("ticket-1" if state == "IN_PROGRESS" else None)

    assert [entry["what"] for entry in result["ticket"]["entries"]] == [
        "opened",
        "NEW → IN_PROGRESS",
        "IN_PROGRESS → RESOLVED",
        "RESOLVED → IN_PROGRESS",
        "IN_PROGRESS → CLOSED",
    ]
    refused = await desk.refused("tickets.state", "ticket-1", state="NEW")
    assert refused == "ticket 1 is CLOSED and cannot become NEW. Open a new one"


async def test_a_ticket_cannot_go_back_to_new(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)
    await desk.do("tickets.state", "#1", state="IN_PROGRESS")

    refused = await desk.refused("tickets.state", "1", state="NEW")

    assert refused == (
        "ticket 1 is IN_PROGRESS and cannot become NEW. It may become RESOLVED or CLOSED"
    )


async def test_a_note_is_a_line_of_the_trail(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)
    engine.clock.advance(60)

    result = await desk.do("tickets.note", "1", text="Called, no answer.")

    assert [(it["author"], it["what"]) for it in result["ticket"]["entries"]] == [
        ("rule billing", "opened"),
        ("ana", "Called, no answer."),
    ]
    (row,) = await engine.rows(ticket)
    assert row.updated_at - row.created_at == timedelta(seconds=60)


async def test_a_call_is_heard_once(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)

    result = await desk.do("escalations.ack", "escalation-1")

    assert result["escalation"]["acknowledged_by"] == "ana"
    assert await desk.refused("escalations.ack", "escalation-1") == (
        'escalation "escalation-1" is acknowledged already, by ana'
    )


# Speaking and closing ─────────────────────────────────────────────────────────────────────────


async def test_who_speaks_takes_over_and_nothing_of_the_bots_leaves_any_more(
    engine: Engine, desk: Desk
) -> None:
    await engine.answer("hola", "¡Hola!", "¿En qué puedo ayudar?")

    result = await desk.do("conversations.send", str(ANA), text="Soy Ana.")

    (item,) = result["items"]
    row = await engine.conversation()
    assert (row.owner, row.epoch, result["withdrawn"]) == ("ana", 1, 2)
    assert row.last_person_at == engine.clock.now()
    (line,) = await engine.rows(message, id=item)
    assert (line.author, line.status, line.event_lane) == ("person", "queued", None)
    assert await engine.states() == {
        "¡Hola!": "withdrawn",
        "¿En qué puedo ayudar?": "withdrawn",
        "Soy Ana.": "waiting",
    }
    await left(engine)
    assert await engine.state(item) == "done"


async def left(engine: Engine) -> None:
    """Send the first message that may leave."""
    while not await engine.send(await engine.claim_item()):
        pass


async def test_a_persons_word_ends_the_turn_that_was_open(engine: Engine, desk: Desk) -> None:
    await engine.accept(engine.said("¿Hay alguien?"))
    work = await engine.claim_one()
    thread = engine.thread(work)
    assert thread is not None
    turn = Turn(messages=(TurnMessage(seq=1, text="x", received_at=work.received_at),))
    waiting = replace(thread, turn=replace(turn, pending_ask="ask-1"), bot_turns=2)
    await engine.complete(engine.commit(work, outcome="asking", conversation=waiting))
    before = await engine.conversation()

    await desk.do("conversations.send", str(ANA), text="Sí.")

    row = await engine.conversation()
    assert (before.turn_from, before.pending_ask) == (1, "ask-1")
    assert (row.turn_from, row.pending_ask, row.bot_turns) == (None, None, 0)


async def test_a_long_word_of_a_person_becomes_several_messages(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    await engine.answer()
    channels.longest = 10

    result = await desk.do("conversations.send", str(ANA), text="Buenas tardes, soy Ana.")

    assert len(result["items"]) == 3
    assert " ".join(await engine.states()) == "Buenas tardes, soy Ana."


async def test_a_persons_files_leave_after_their_text(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    await engine.answer()
    channels.media = True
    media = ["https://shop.example/a.pdf", "https://shop.example/b.jpg"]

    result = await desk.do("conversations.send", str(ANA), text="Tome:", media=media)

    rows = {row.id: row for row in await engine.rows(outbox)}
    messages = [outbound_message(item, rows[item].body) for item in result["items"]]
    assert [(it.text, [file.url for file in it.media]) for it in messages] == [
        ("Tome:", []),
        ("", media[:1]),
        ("", media[1:]),
    ]
    assert [rows[item].seq for item in result["items"]] == sorted(row.seq for row in rows.values())
    assert {row.author for row in rows.values()} == {"person"}
    assert result["note"] is None


async def test_a_person_is_told_which_file_leaves_as_its_address(
    engine: Engine, desk: Desk
) -> None:
    await engine.answer()

    result = await desk.do(
        "conversations.send", str(ANA), text="Tome:", media=["https://shop.example/a.pdf"]
    )

    assert list(await engine.states()) == ["Tome:\nhttps://shop.example/a.pdf"]
    assert result["note"] == (
        "the channel always takes texts; the channel does not send a.pdf: "
        "the address is in the text"
    )


@pytest.mark.parametrize(
    "url, words",
    [
        ("http://shop.example/a.pdf", "write a whole address that begins with https://"),
        ("https://10.0.0.1/a.pdf", '"10.0.0.1" is not on the public internet'),
    ],
)
async def test_a_person_is_told_which_file_nobody_can_fetch(
    engine: Engine, desk: Desk, url: str, words: str
) -> None:
    await engine.answer()

    refused = await desk.refused("conversations.send", str(ANA), text="Tome:", media=[url])

    assert refused.startswith(f'the file "{url}" cannot be sent: {words}')
    assert await engine.rows(outbox) == []
    assert (await engine.conversation()).owner == "bot"


async def test_a_person_is_told_at_once_what_the_provider_would_refuse(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    await drafted(engine)
    channels.window = timedelta(hours=24)
    engine.clock.advance(timedelta(hours=24))
    said = (
        'nothing can be written through "phone": the customer has not written there for 24 h, '
        "and there is no template"
    )

    assert await desk.refused("conversations.send", str(ANA), text="Ya voy.") == said
    assert await desk.refused("drafts.approve", "draft-1") == said
    channels.there = False
    assert await desk.refused("drafts.approve", "draft-1") == (
        'nothing can be written through "phone": there is no such channel'
    )

    assert await engine.rows(outbox) == []
    assert (await engine.conversation()).owner == "bot"
    (row,) = await engine.rows(draft)
    assert row.state == "pending"


async def test_nobody_speaks_where_nobody_may(engine: Engine, desk: Desk) -> None:
    await engine.answer()
    assert await desk.refused("conversations.send", str(ANA), text="x", by="bot") == (
        '"bot" is not a person. Say who writes'
    )
    await desk.do("conversations.close", str(ANA))
    thread = (await engine.rows(conversation))[0].id

    assert await desk.refused("conversations.send", str(ANA), text="x") == (
        f'conversation "{thread}" is closed. The customer\'s next message opens another'
    )
    assert await desk.refused("conversations.close", str(ANA)) == (
        f'conversation "{thread}" is closed already'
    )


async def test_a_closed_conversation_says_nothing_more_and_waits_for_nothing(
    engine: Engine, desk: Desk
) -> None:
    thread = await drafted(engine)
    await engine.answer("¿y?", "Un momento.")
    said = await engine.person_writes("Ya voy.", thread)

    result = await desk.do("conversations.close", thread)

    assert result["conversation"]["status"] == "closed"
    assert await engine.states() == {"Un momento.": "withdrawn", "Ya voy.": "waiting"}
    (row,) = await engine.rows(draft)
    assert (row.state, row.because) == (
        "discarded",
        "low confidence. Rejected: ana closed the conversation",
    )
    # What a person wrote leaves all the same.
    await left(engine)
    assert await engine.state(said) == "done"


async def test_what_was_being_worked_while_it_was_closed_opens_another(
    engine: Engine, desk: Desk
) -> None:
    await engine.answer()
    await engine.accept(engine.said("¿Hola?"))
    work = await engine.claim_one()
    await desk.do("conversations.close", str(ANA))

    await engine.complete(engine.commit(work, "¡Hola!"))
    again = await engine.claim_one()
    await engine.complete(engine.commit(again, "¡Hola!"))

    assert again.ref == work.ref
    assert again.conversation is None
    rows = await engine.rows(conversation)
    assert sorted(row.status for row in rows) == ["active", "closed"]
    assert list((await engine.states()).values()) == ["waiting"]


async def test_who_opted_out_is_written_to_again_once_a_person_lets_them_in(
    engine: Engine, desk: Desk
) -> None:
    thread = await drafted(engine)
    await engine.store.write(lambda tx: accept_opt_out(tx.connection, "main", str(ANA), tx.now))

    refused = await desk.refused("conversations.send", thread, text="¿Sigue ahí?")
    nothing = await desk.refused("conversations.opt_in", thread)
    done = await desk.do("conversations.opt_in", thread, because="asked for it by mail")
    said = await desk.do("conversations.send", thread, text="¿Sigue ahí?")

    assert refused == "the customer has asked for no more messages"
    assert nothing == 'the arguments do not fit: "because": Field required'
    assert done["opt_in"]["contact"] == str(ANA)
    assert (done["opt_in"]["by"], done["opt_in"]["because"]) == ("ana", "asked for it by mail")
    assert len(said["items"]) == 1
    assert said["conversation"]["opted_out"] is False
    (row,) = await engine.rows(draft)
    assert row.state == "discarded"  # what was thrown away stays so


async def test_a_ticket_is_given_to_somebody_and_taken_back(engine: Engine, desk: Desk) -> None:
    await ticketed(engine)

    given = await desk.do("tickets.assign", "1", assignee="eva")
    again = await desk.refused("tickets.assign", "1", assignee="eva")
    back = await desk.do("tickets.assign", "1", assignee=None)
    nobody = await desk.refused("tickets.assign", "1", assignee=None)
    await desk.do("tickets.state", "1", state="CLOSED")

    assert given["ticket"]["assignee"] == "eva"
    assert back["ticket"]["assignee"] is None
    assert (again, nobody) == ("ticket 1 is eva's already", "ticket 1 is nobody's already")
    assert await desk.refused("tickets.assign", "1", assignee="luis") == (
        "ticket 1 is closed. Open a new one"
    )


async def test_tokens_are_made_revoked_and_their_key_changed(engine: Engine, desk: Desk) -> None:
    given = {"name": "crm", "scopes": ["read", "read"], "expires": 60, "by": "eva"}
    made = await perform(engine.store, "tokens.create", given, desk.channels)
    changed = await perform(engine.store, "tokens.rotate", {"now": True}, desk.channels)
    revoked = await desk.do("tokens.revoke", made["token"]["id"])

    assert (made["token"]["scopes"], made["token"]["tenant"]) == (["read"], "main")
    assert made["token"]["expires_at"] == (engine.clock.now() + timedelta(seconds=60)).isoformat()
    assert changed["ended"] == 1
    assert revoked["token"]["revoked_by"] == "ana"


# All of them ──────────────────────────────────────────────────────────────────────────────────

_MORE: Mapping[str, Mapping[str, Any]] = {
    "drafts.edit": {"text": "x"},
    "outbox.resolve": {"sent": True},
    "tickets.state": {"state": "CLOSED"},
    "tickets.note": {"text": "x"},
    "tickets.assign": {"assignee": "eva"},
    "conversations.send": {"text": "x"},
    "conversations.opt_in": {"because": "x"},
    "events.discard": {"because": "x"},
}
#: Acts on something that is there; the others bring something into being.
ON_THINGS = [name for name, act in ACTS.items() if "id" in act.arguments.model_fields]
_NAMES = {
    "events.retry": str(ref(1)),
    "events.discard": str(ref(1)),
    "conversations.take": str(ANA),
    "conversations.release": str(ANA),
    "conversations.send": str(ANA),
    "conversations.close": str(ANA),
    "conversations.opt_in": str(ANA),
    "tickets.assign": "ticket-1",
    "tickets.state": "ticket-1",
    "tickets.note": "ticket-1",
    "escalations.ack": "escalation-1",
    "drafts.approve": "draft-1",
    "drafts.edit": "draft-1",
    "drafts.reject": "draft-1",
}


@pytest.mark.parametrize("act", ON_THINGS)
async def test_an_act_on_what_is_not_there_says_so(desk: Desk, act: str) -> None:
    with pytest.raises(NotFound) as caught:
        await desk.do(
            act, "main/tel:+1#9" if act.startswith("events.") else "nix", **_MORE.get(act, {})
        )

    assert str(caught.value).startswith("there is no ")


@pytest.mark.parametrize("act", ON_THINGS)
async def test_an_act_never_reaches_into_another_tenant(
    engine: Engine, desk: Desk, act: str
) -> None:
    await drafted(engine)
    await desk.do("drafts.approve", "draft-1")
    item = await engine.claim_item()
    await engine.attempt(item, ItemState.UNKNOWN)
    await ticketed(engine)

    with pytest.raises(NotFound):
        await desk.do(act, _NAMES.get(act, item.id), tenant="acme", **_MORE.get(act, {}))


@pytest.mark.parametrize("act", ON_THINGS)
async def test_an_act_takes_only_what_it_knows(desk: Desk, act: str) -> None:
    refused = await desk.refused(act, "x", surprise=1, **_MORE.get(act, {}))

    assert refused == ('the arguments do not fit: "surprise": Extra inputs are not permitted')


@pytest.mark.parametrize("act", ACTS)
def test_every_act_refuses_what_it_does_not_know(act: str) -> None:
    assert ACTS[act].arguments.model_config["extra"] == "forbid"


async def test_there_is_no_act_of_another_name(desk: Desk) -> None:
    with pytest.raises(NotFound) as caught:
        await desk.do("drafts.burn", "x")

    assert str(caught.value) == 'there is no act "drafts.burn"'
