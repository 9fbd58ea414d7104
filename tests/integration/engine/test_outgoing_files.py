"""Files that a rule sends: each a message of its own, after the text, as durable as that."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from router import plugin
from router.domain.conversation import BOT, SOMEBODY
from router.pipeline.outbound.messages import outbound_message
from router.pipeline.people.acts import perform
from router.pipeline.people.surroundings import Configured
from router.rules.explain import render
from router.rules.trace import unpacked
from router.storage.fence import OWN_ECHO_WINDOW
from router.storage.stories import story
from router.storage.tables import decision, message, outbox, ticket
from tests.integration.engine.harness import ANA, DATABASES
from tests.integration.engine.pipeline import Pipeline, running

PRICES = "https://shop.example/precios.pdf"
PHOTO = "https://shop.example/local.jpg"
#: Where the provider keeps what it sent.
KEPT = "https://provider.example"
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


async def test_the_trace_names_every_item_that_was_queued(pipeline: Pipeline) -> None:
    pipeline.can("phone", media=True)
    await ask(pipeline)

    items = sorted(await pipeline.engine.rows(outbox, kind="message"), key=lambda it: it.seq)
    text, prices, photo = [it.id for it in items]
    files = [(prices, PRICES), (photo, PHOTO)]
    told = await trace(pipeline)
    assert told["queued"] == [
        {"kind": "message", "id": text, "to": "phone"},
        {"kind": "message", "id": prices, "to": "phone", "file": PRICES},
        {"kind": "message", "id": photo, "to": "phone", "file": PHOTO},
    ]
    lines = [f"  message {text} phone", *(f"  message {it} phone {url}" for it, url in files)]
    assert "\n".join(["Queued", *lines]) in render(told)
    found = await pipeline.engine.store.read(lambda it: story(it, "main", prices))
    assert [(it.id, it.text) for it in found.items] == [
        (text, "Aquí está."),
        *files,
    ]


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

    assert await echo(pipeline, theirs) == owner


def shows(id: str, text: str = "", *kinds: str) -> plugin.MessageEchoed:
    """Give what a provider shows as sent, under its own id and at its own addresses."""
    files = tuple(plugin.Attachment(kind=it, url=f"{KEPT}/{id}") for it in kinds)
    return plugin.MessageEchoed(id, ANA, text, attachments=files)


async def echo(pipeline: Pipeline, event: plugin.MessageEchoed) -> str:
    """Let an echo come in; give who owns the conversation then."""
    await pipeline.engine.accept(pipeline.engine.event(event, channel="phone"))
    await pipeline.settle()
    return str((await pipeline.engine.conversation()).owner)


async def test_each_file_of_ours_comes_back_once_wherever_its_provider_keeps_it(
    pipeline: Pipeline,
) -> None:
    pipeline.can("phone", media=True, own_echoes=True)
    await ask(pipeline)
    await pipeline.settle()

    owners = [
        await echo(pipeline, shows("echo-1", "Aquí está.")),
        await echo(pipeline, shows("echo-2", "", "image")),
        await echo(pipeline, shows("echo-3", "", "document")),
    ]

    assert owners == [BOT] * 3
    rows = sorted(await pipeline.engine.rows(outbox, kind="message"), key=lambda it: it.seq)
    assert [it.echo for it in rows] == ["echo-1", "echo-3", "echo-2"]
    assert await echo(pipeline, shows("echo-4", "", "image")) == SOMEBODY


async def test_an_echo_proves_the_very_file_of_which_nobody_knew(pipeline: Pipeline) -> None:
    pipeline.can("phone", media=True, own_echoes=True)
    pipeline.provider.script = [None, None, plugin.OutcomeUnknown("lost")]
    await ask(pipeline)
    await pipeline.settle()
    before = [state for _, _, state in await left(pipeline)]

    owner = await echo(pipeline, shows("echo-1", "", "image"))

    assert (before, owner) == (["done", "done", "unknown"], BOT)
    assert [state for _, _, state in await left(pipeline)] == ["done"] * 3


@pytest.mark.parametrize("kind", ["audio", "location", "contact"])
async def test_what_is_never_made_of_our_files_is_a_persons_also_where_ours_come_back(
    pipeline: Pipeline, kind: str
) -> None:
    pipeline.can("phone", media=True, own_echoes=True)
    await ask(pipeline)
    await pipeline.settle()

    assert await echo(pipeline, shows("echo-1", "", kind)) == SOMEBODY


@pytest.mark.parametrize("own_echoes", [False, True])
async def test_a_file_at_the_address_that_we_gave_is_ours(
    pipeline: Pipeline, own_echoes: bool
) -> None:
    pipeline.can("phone", media=True, own_echoes=own_echoes)
    await ask(pipeline)
    await pipeline.settle()
    files = (plugin.Attachment(kind="document", url=PHOTO),)

    owner = await echo(pipeline, plugin.MessageEchoed("echo-1", ANA, "", attachments=files))

    assert owner == BOT
    rows = sorted(await pipeline.engine.rows(outbox, kind="message"), key=lambda it: it.seq)
    assert [it.echo for it in rows] == [None, None, "echo-1"]


async def test_a_file_long_after_ours_is_a_persons(pipeline: Pipeline) -> None:
    pipeline.can("phone", media=True, own_echoes=True)
    await ask(pipeline)
    await pipeline.settle()
    pipeline.engine.clock.advance(OWN_ECHO_WINDOW + timedelta(seconds=1))

    assert await echo(pipeline, shows("echo-1", "", "image")) == SOMEBODY


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
