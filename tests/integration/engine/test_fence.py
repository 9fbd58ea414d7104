"""The handover fence: after a person spoke, nothing that was decided before may leave."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from router.domain.conversation import SOMEBODY
from router.domain.identity import Address
from router.domain.message import Author
from router.domain.outbox import ItemState
from router.storage.conversations import take_conversation
from router.storage.fence import OWN_ECHO_WINDOW
from router.storage.outbox import Verdict, resolve_item
from router.storage.store import AttemptResult, Start, Tx
from router.storage.tables import contact, conversation, inbox_event, outbox
from tests.integration.engine.harness import ANA, LUIS, Engine


async def test_an_echo_takes_the_conversation_over_when_it_is_accepted(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos")
    item = await engine.claim_item()

    await engine.accept(engine.echoed("Hola, soy Eva"))

    thread = await engine.conversation()
    assert (thread.owner, thread.epoch, thread.owner_since) == (SOMEBODY, 1, engine.clock.now())
    assert await engine.states() == {"uno": "withdrawn", "dos": "withdrawn"}
    line = await engine.line(item.id)
    assert (line.status, line.failure) == (
        "withdrawn",
        "person took the conversation over before it was sent",
    )
    assert not await engine.store.start_attempt(item)
    assert await engine.idle("out")


async def test_an_echo_on_an_unknown_number_opens_what_is_missing(engine: Engine) -> None:
    await engine.accept(engine.echoed("Hola, soy Eva"))

    thread = await engine.conversation()
    (person,) = await engine.rows(contact)
    assert (thread.owner, thread.source, thread.channel, thread.address, thread.epoch) == (
        SOMEBODY,
        "manual",
        "phone",
        str(ANA),
        1,
    )
    assert person.key == str(ANA)
    work = await engine.claim_one()
    assert work.conversation is not None
    assert work.conversation.id == thread.id


async def test_an_echo_and_its_repeat_are_one_fact(engine: Engine) -> None:
    echo = engine.echoed("Hola, soy Eva", id="E1")
    await engine.accept(echo)
    await engine.accept(echo)

    assert (await engine.conversation()).epoch == 1


async def test_an_echo_is_all_of_its_request_or_nothing(engine: Engine) -> None:
    with pytest.raises(UnicodeEncodeError):
        await engine.accept(engine.echoed("Hola"), engine.said(id="\ud800"))

    assert await engine.rows(conversation) == []


async def test_an_echo_concerns_one_customer_of_one_tenant(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    await engine.answer("hola", "dos", who=LUIS)

    await engine.accept(engine.echoed("Hola", who=LUIS))
    await engine.accept(engine.echoed("Hola", tenant="clinica"))

    assert await engine.states() == {"uno": "waiting", "dos": "withdrawn"}


async def test_what_has_left_cannot_be_called_back_and_nothing_follows_it(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)

    await engine.accept(engine.echoed("Hola, soy Eva"))
    await engine.store.finish_attempt(item, AttemptResult(state=ItemState.DONE))

    assert await engine.states() == {"uno": "done", "dos": "withdrawn"}
    assert await engine.idle("out")


async def test_what_was_decided_before_and_tried_after_is_withdrawn(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    await engine.accept(engine.echoed("Hola, soy Eva"))
    retry = AttemptResult(state=ItemState.WAITING, retry_at=engine.clock.now(), error="busy")
    await engine.store.finish_attempt(item, retry)

    again = await engine.claim_item()

    assert not await engine.store.start_attempt(again)
    assert await engine.states() == {"uno": "withdrawn"}
    assert await engine.idle("out")


async def test_a_withdrawal_at_the_start_lets_the_next_go(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    await engine.accept(engine.echoed("Hola, soy Eva"))
    theirs = await engine.person_writes("¿Siguen ahí?", (await engine.conversation()).id)
    retry = AttemptResult(state=ItemState.WAITING, retry_at=engine.clock.now(), error="busy")
    await engine.store.finish_attempt(item, retry)

    assert not await engine.store.start_attempt(await engine.claim_item())

    assert (await engine.claim_item()).id == theirs


async def test_rules_are_fenced_and_people_and_actions_are_not(engine: Engine) -> None:
    await engine.accept(engine.said())
    work = await engine.claim_one()
    await engine.complete(
        engine.commit(work, "de una regla", author=Author.RULE, items=[engine.action()])
    )
    await engine.person_writes("de Eva", (await engine.conversation()).id)

    await engine.accept(engine.echoed("Hola, soy Eva"))

    assert await engine.states() == {"de una regla": "withdrawn", "de Eva": "waiting"}
    assert not await engine.send(await engine.claim_item())  # was in a worker's hands already
    assert await engine.send(await engine.claim_item())
    assert await engine.send(await engine.claim_item("job"))


async def test_what_is_decided_after_the_takeover_may_leave(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    await engine.accept(engine.echoed("Hola, soy Eva"))
    await engine.complete(engine.commit(await engine.claim_one(), "de después"))

    assert not await engine.send(await engine.claim_item())  # was in a worker's hands already
    assert await engine.send(await engine.claim_item())
    assert await engine.states() == {"uno": "withdrawn", "de después": "done"}


async def test_a_takeover_at_the_desk_is_the_same_fence(engine: Engine) -> None:
    await engine.answer("hola", "uno", "dos")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    thread = (await engine.conversation()).id

    _, withdrawn = await engine.store.write(
        lambda tx: take_conversation(tx.connection, "main", thread, by="eva", now=tx.now)
    )

    assert withdrawn == 1
    assert await engine.states() == {"uno": "started", "dos": "withdrawn"}


async def test_after_a_takeover_a_person_does_not_wait_for_the_next_try_of_the_bot(
    engine: Engine,
) -> None:
    await engine.answer("hola", "uno")
    await engine.attempt(await engine.claim_item(), ItemState.WAITING, retry_in=300)
    await engine.accept(engine.echoed("Hola, soy Eva"))

    theirs = await engine.person_writes("¿Siguen ahí?", (await engine.conversation()).id)

    # What was tried may have left, so its own start finds out what became of it: at once.
    tried = await engine.claim_item()
    assert await engine.store.start_attempt(tried) is Start.NOT
    assert await engine.state(tried.id) == "withdrawn"
    assert (await engine.claim_item()).id == theirs


async def test_what_may_have_been_sent_before_a_takeover_is_not_withdrawn(engine: Engine) -> None:
    await engine.answer("hola", "uno")
    await engine.attempt(await engine.claim_item(), ItemState.WAITING, retry_in=300)
    (row,) = await engine.rows(outbox)
    body = json.dumps({**json.loads(row.body), "unknown": 1})
    await engine.store.write(
        lambda tx: tx.connection.execute(sa.update(outbox).values(body=body)).rowcount
    )
    await engine.accept(engine.echoed("Hola, soy Eva"))

    item = await engine.claim_item()
    assert item.may_have_left
    assert await engine.store.start_attempt(item) is Start.OVERTAKEN


async def test_what_a_person_says_was_not_sent_before_a_takeover_is_withdrawn(
    engine: Engine,
) -> None:
    """Whatever was unknown of its attempts: once somebody has looked, nothing is any more."""
    await engine.answer("hola", "uno")
    lost = await engine.claim_item()
    await engine.attempt(lost, ItemState.UNKNOWN)
    (row,) = await engine.rows(outbox)
    body = json.dumps({**json.loads(row.body), "unknown": 1})
    await engine.store.write(
        lambda tx: tx.connection.execute(sa.update(outbox).values(body=body)).rowcount
    )
    await engine.accept(engine.echoed("Hola, soy Eva"))

    def not_sent(tx: Tx) -> None:
        resolve_item(tx.connection, "main", lost.id, verdict=Verdict.RESEND, by="eva", now=tx.now)

    await engine.store.write(not_sent)
    item = await engine.claim_item()

    assert not item.may_have_left
    assert await engine.store.start_attempt(item) is Start.NOT
    assert await engine.states() == {"uno": "withdrawn"}
    assert await engine.idle("out")


# --- our own echo


async def _sent(engine: Engine, text: str, state: ItemState = ItemState.DONE) -> str:
    await engine.answer("hola", text)
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    if state is not ItemState.STARTED:
        later = engine.clock.now() + timedelta(minutes=1)
        reference = "SM1" if state is ItemState.DONE else None
        result = AttemptResult(state=state, provider_ref=reference, retry_at=later)
        await engine.store.finish_attempt(item, result)
    return item.id


@pytest.mark.parametrize(
    "state", [ItemState.STARTED, ItemState.UNKNOWN, ItemState.DONE, ItemState.WAITING]
)
async def test_our_own_echo_takes_nothing_over_and_proves_the_sending(
    engine: Engine, state: ItemState
) -> None:
    name = await _sent(engine, "Mañana abrimos a las 8", state)

    await engine.accept(engine.echoed("  manana ABRIMOS a las 8 ", id="app-1"))

    thread = await engine.conversation()
    assert (thread.owner, thread.epoch) == ("bot", 0)
    (row,) = await engine.rows(outbox)
    assert (row.state, row.echo, row.error) == ("done", "app-1", None)
    assert row.provider_ref == ("SM1" if state is ItemState.DONE else "app-1")
    assert (await engine.line(name)).status == "sent"
    assert [it.type for it in await engine.rows(inbox_event)] == ["message", "own_echo"]
    assert await engine.idle("out")


async def test_our_own_echo_before_the_result_stands_whatever_the_result_says(
    engine: Engine,
) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    await engine.accept(engine.echoed("uno"))

    await engine.store.finish_attempt(item, AttemptResult(state=ItemState.UNKNOWN, error="lost"))

    assert await engine.states() == {"uno": "done"}


@pytest.mark.parametrize(("name", "provider_id"), [("SM1", None), ("app-1", "SM1")])
async def test_our_own_echo_is_known_by_the_providers_id_whatever_its_text(
    engine: Engine, name: str, provider_id: str | None
) -> None:
    await _sent(engine, "uno")

    await engine.accept(engine.echoed("uno (editado)", id=name, provider_id=provider_id))

    assert (await engine.conversation()).owner == "bot"


@pytest.mark.parametrize("state", [ItemState.STARTED, ItemState.UNKNOWN])
async def test_a_persons_echo_is_not_taken_for_a_message_without_a_provider_id(
    engine: Engine, state: ItemState
) -> None:
    await _sent(engine, "uno", state)

    await engine.accept(engine.echoed("Hola, soy Eva"))

    assert (await engine.conversation()).owner == SOMEBODY
    assert await engine.states() == {"uno": str(state)}


async def test_each_item_is_one_echo(engine: Engine) -> None:
    await _sent(engine, "hola")
    await engine.accept(engine.echoed("hola", id="app-1"))
    before = (await engine.conversation()).owner

    await engine.accept(engine.echoed("hola", id="app-2"))

    assert (before, (await engine.conversation()).owner) == ("bot", SOMEBODY)


async def test_two_equal_messages_are_two_echoes(engine: Engine) -> None:
    await engine.answer("hola", "hola", "hola")
    await engine.send(await engine.claim_item(), "SM1")
    await engine.send(await engine.claim_item(), "SM2")

    await engine.accept(engine.echoed("hola", id="SM2"), engine.echoed("hola", id="app-1"))

    assert (await engine.conversation()).owner == "bot"
    rows = await engine.rows(outbox)
    assert {row.provider_ref: row.echo for row in rows} == {"SM1": "app-1", "SM2": "SM2"}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"who": LUIS}, id="of another customer"),
        pytest.param({"channel": "telefono"}, id="on another channel"),
        pytest.param({"tenant": "clinica"}, id="of another tenant"),
    ],
)
async def test_the_same_words_elsewhere_are_no_echo_of_ours(
    engine: Engine, options: dict[str, Address | str]
) -> None:
    await _sent(engine, "hola")

    await engine.accept(engine.echoed("hola", **options))  # type: ignore[arg-type]

    (row,) = await engine.rows(outbox)
    assert row.echo is None
    assert SOMEBODY in [it.owner for it in await engine.rows(conversation)]


async def test_the_same_words_long_afterwards_are_a_persons(engine: Engine) -> None:
    await _sent(engine, "hola")
    engine.clock.advance(OWN_ECHO_WINDOW + timedelta(seconds=1))

    await engine.accept(engine.echoed("hola"))

    assert (await engine.conversation()).owner == SOMEBODY


async def test_what_was_never_tried_has_no_echo(engine: Engine) -> None:
    await engine.answer("hola", "buenos días")

    await engine.accept(engine.echoed("buenos días"))

    assert (await engine.conversation()).owner == SOMEBODY
    assert await engine.states() == {"buenos días": "withdrawn"}


async def test_an_attempt_that_fails_after_a_takeover_keeps_no_person_waiting(
    engine: Engine,
) -> None:
    await engine.answer("hola", "uno")
    item = await engine.claim_item()
    assert await engine.store.start_attempt(item)
    thread = (await engine.conversation()).id
    await engine.store.write(
        lambda tx: take_conversation(tx.connection, "main", thread, by="eva", now=tx.now)
    )
    again = engine.clock.now() + timedelta(hours=1)
    busy = AttemptResult(state=ItemState.WAITING, error="busy", retry_at=again)
    await engine.store.finish_attempt(item, busy)
    await engine.person_writes("Le escribe Eva", thread)

    assert not await engine.send(await engine.claim_item())
    assert await engine.send(await engine.claim_item())

    assert await engine.states() == {"uno": "withdrawn", "Le escribe Eva": "done"}
