"""What a person may do with a conversation: take it, hand it back, close it, opt in."""

import anyio
import pytest

from router.domain.outbox import ItemState
from router.storage.refusals import accept_opt_out
from router.storage.store import AttemptResult, Item
from router.storage.tables import conversation, draft
from tests.integration.acts.desk import Desk, drafted, left
from tests.integration.engine.harness import ANA, Engine


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
