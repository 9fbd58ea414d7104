"""Files that a rule sends: each a message of its own, after the text, as durable as that."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.domain.conversation import BOT, SOMEBODY
from router.pipeline.acts import perform
from router.pipeline.outgoing import outbound_message
from router.pipeline.surroundings import Configured
from router.rules.explain import render
from router.rules.trace import unpacked
from router.storage.tables import decision, message, outbox, ticket
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

PRICES = "https://shop.example/precios.pdf"
PHOTO = "https://shop.example/local.jpg"
RULES = f"""
[[rule]]
id = "brochure"
when.text.words = "folleto"
then.reply = {{ text = "Aquí está.", media = ["{PRICES}", "{PHOTO}"] }}
"""


@pytest.fixture(params=list(DATABASES))
async def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with running(request.param, tmp_path, rules=RULES) as pipeline:
        yield pipeline


async def ask(pipeline: Pipeline) -> None:
    await pipeline.engine.accept(pipeline.engine.said("el folleto"))
    await pipeline.think()


async def left(pipeline: Pipeline) -> list[tuple[str, list[str], str]]:
    """Give what leaves: its text, its files, and how far it is."""
    rows = await pipeline.engine.rows(outbox, kind="message")
    found = []
    for row in sorted(rows, key=lambda it: it.seq):
        body = json.loads(row.body)
        said = outbound_message(row.id, row.body).text
        found.append((said, [it["url"] for it in body.get("media", ())], row.state))
    return found


async def trace(pipeline: Pipeline) -> dict[str, Any]:
    (row,) = await pipeline.engine.rows(decision)
    return unpacked(row.trace)


async def test_the_text_leaves_first_and_then_each_file(pipeline: Pipeline) -> None:
    pipeline.can("phone", media=True)
    await ask(pipeline)
    await pipeline.settle()

    assert await left(pipeline) == [
        ("Aquí está.", [], "done"),
        ("", [PRICES], "done"),
        ("", [PHOTO], "done"),
    ]
    lines = [it for it in await pipeline.engine.rows(message) if it.direction == "out"]
    shown = sorted((it.text, [file["name"] for file in it.attachments or ()]) for it in lines)
    assert shown == [("", ["local.jpg"]), ("", ["precios.pdf"]), ("Aquí está.", [])]
    assert {it.author for it in lines} == {"rule"}
    told = await trace(pipeline)
    assert told["plan"]["files"] == [PRICES, PHOTO]
    assert f"a text, counted as free, and then {PRICES}, {PHOTO}" in render(told)


async def test_a_file_that_the_channel_does_not_send_is_an_address_in_the_text(
    pipeline: Pipeline,
) -> None:
    pipeline.can("phone", media=True, media_types=frozenset({"image/jpeg"}))
    await ask(pipeline)
    await pipeline.settle()

    assert await left(pipeline) == [
        (f"Aquí está.\n{PRICES}", [], "done"),
        ("", [PHOTO], "done"),
    ]
    because = "the channel does not send precios.pdf: the address is in the text"
    assert because in (await trace(pipeline))["plan"]["because"]
    assert because in render(await trace(pipeline))


async def test_no_file_leaves_once_a_person_speaks(pipeline: Pipeline) -> None:
    pipeline.can("phone", media=True)
    await ask(pipeline)

    given = {"id": str(ANA), "by": "ana", "text": "Hola.", "media": [PHOTO]}
    around = Configured(lambda: pipeline.configuration)
    said = await perform(pipeline.engine.store, "conversations.send", given, around)
    await pipeline.settle()

    assert (said["withdrawn"], said["note"], len(said["items"])) == (3, None, 2)
    assert await left(pipeline) == [
        ("Aquí está.", [], "withdrawn"),
        ("", [PRICES], "withdrawn"),
        ("", [PHOTO], "withdrawn"),
        ("Hola.", [], "done"),
        ("", [PHOTO], "done"),
    ]


@pytest.mark.parametrize("own_echoes, owner", [(False, SOMEBODY), (True, BOT)])
async def test_a_file_of_a_person_is_told_from_ours_where_ours_do_not_come_back(
    pipeline: Pipeline,
    own_echoes: bool,
    owner: str,
) -> None:
    pipeline.can("phone", media=True, own_echoes=own_echoes)
    await ask(pipeline)
    await pipeline.settle()

    theirs = plugin.MessageEchoed(
        "echo-1", ANA, "", attachments=(plugin.Attachment(kind="image"),), provider_id="x"
    )
    await pipeline.engine.accept(pipeline.engine.event(theirs, channel="phone"))
    await pipeline.settle()

    assert (await pipeline.engine.conversation()).owner == owner


async def test_files_outlive_a_crash_and_leave_once(pipeline: Pipeline) -> None:
    pipeline.can("phone", media=True)
    await ask(pipeline)
    await pipeline.crash()
    await pipeline.settle()

    assert [state for _, _, state in await left(pipeline)] == ["done"] * 3
    assert len(pipeline.provider.sent) == 3


async def test_a_file_that_its_provider_refuses_is_a_ticket_that_names_it(
    pipeline: Pipeline,
) -> None:
    pipeline.can("phone", media=True)
    pipeline.provider.script = [None, plugin.Refused("it cannot be fetched")]
    await ask(pipeline)
    await pipeline.settle()

    assert [state for _, _, state in await left(pipeline)] == ["done", "refused", "done"]
    (row,) = await pipeline.engine.rows(ticket)
    assert row.title == f"El proveedor lo rechazó: {PRICES}"
