"""What a person writes to a customer: a takeover, in as many messages as it needs."""

from dataclasses import replace
from datetime import timedelta

import pytest

from router.domain.conversation import Turn, TurnMessage
from router.pipeline.outbound.messages import outbound_message
from router.storage.tables import conversation, draft, message, outbox
from tests.integration.acts.desk import Channels, Desk, drafted, left
from tests.integration.engine.harness import ANA, Engine


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


async def test_a_persons_word_is_measured_as_the_channel_counts(
    engine: Engine, desk: Desk, channels: Channels
) -> None:
    await engine.answer()
    channels.longest, channels.unit = 8, "bytes"

    result = await desk.do("conversations.send", str(ANA), text="Mañana sí.")

    assert len(result["items"]) == 2
    assert " ".join(await engine.states()) == "Mañana sí."


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
